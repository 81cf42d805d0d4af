"""The reference agent: trains a student in the environments of `socratic_env`. From a checkout."""

import os

# Waiting threads of torch otherwise spin: on a machine with other work one step took twelve times
# as long. Read when torch is first imported, so it must stand here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
