"""Imported first by the process that workers are forked from, so that it ends when the study does.

That process then imports the encoders, for seconds, and would not notice before.
"""

import os
import sys

from noiseproof.core.parent import end_with_parent

if any("multiprocessing.forkserver" in word for word in sys.orig_argv):
    end_with_parent(os.getppid())
