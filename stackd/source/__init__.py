"""The disk side: which stacks there are, what their files say, and when one is really gone."""
