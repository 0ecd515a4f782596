"""`python -m demo`, from the root of the checkout."""

import sys

from demo.run import main

sys.exit(main())
