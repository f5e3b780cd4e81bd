"""Submit with: ray job submit --working-dir . -- python cluster/jobs/first_flight.py --workspace /data/lake."""

import sys

from raylake.demo.job import main

if __name__ == "__main__":
    sys.exit(main())
