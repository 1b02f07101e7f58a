"""The contracts of workloads, passes and runtimes, as three functions for your tests.

::

    from perfsuite.testing import check_workload
    from my_models import my_net

    def test_my_net():
        check_workload(my_net())

Each raises `AssertionError`, which says what is wrong and how to fix it. `check_pass` may be given
a workload on whose model the pass is tried.
"""

from perfsuite.testing.passes import check_pass
from perfsuite.testing.runtimes import check_runtime
from perfsuite.testing.workloads import check_workload

__all__ = ["check_pass", "check_runtime", "check_workload"]
