"""`make demo`: the story of the README, told by real commands on a real engine.

Law: it uses the machine's engine when one answers and can have the images, else an engine of its own beside it; it has
an instance, a stacks directory and ports of its own, and takes away all it made, however it ends.
"""
