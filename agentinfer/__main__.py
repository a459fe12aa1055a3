"""`python -m agentinfer`."""

import sys

from agentinfer.cli import main

sys.exit(main())
