"""The harness of the interop suite. Standard library only."""
