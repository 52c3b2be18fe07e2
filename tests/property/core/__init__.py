"""Laws of the pure decision, over generated stacks."""
