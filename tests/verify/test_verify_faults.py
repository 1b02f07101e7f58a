"""Faults that need a process of their own, or a compiler, to be set."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from seeded_faults import FAULTS, NET, by_name, inspected, plain, prepared

from perfsuite.domain.record import Evidence
from perfsuite.measure.environment import usable_threads
from perfsuite.processor import read_processor
from perfsuite.runner.plain import PROGRAM, plain_evidence

pytestmark = [
    pytest.mark.verify,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc"),
]

# The product as NumPy's wheels call it, of rows by rows.
REFERENCE = """
#include <stdint.h>

void scipy_cblas_sgemm64_(int order, int ta, int tb, int64_t m, int64_t n, int64_t k, float alpha,
                          const float *a, int64_t lda, const float *b, int64_t ldb, float beta,
                          float *c, int64_t ldc) {
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            float sum = 0;
            for (int64_t l = 0; l < k; l++)
                sum += (ta == 111 ? a[i * lda + l] : a[l * lda + i])
                     * (tb == 111 ? b[l * ldb + j] : b[j * ldb + l]);
            c[i * ldc + j] = alpha * sum + (beta ? beta * c[i * ldc + j] : 0);
        }
}
"""


def test_one_layer_without_onednn_and_a_cap_on_the_others(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    job = prepared(f"{tmp_path}/net.py:net", "pytorch", usable_threads())
    found = by_name(inspected(job, {FAULTS: "one-layer", "ONEDNN_MAX_CPU_ISA": "SSE41"}))
    one = found["layer-without-library"]
    assert "1 of 3 layers" in one.message and one.message.endswith(": body")
    assert "torch.backends.mkldnn" in one.fix
    if "avx2" in read_processor().flags:
        assert found["instruction-set-capped"].about == "oneDNN"


def test_what_limits_openmp_and_caps_mkl(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    job = prepared(f"{tmp_path}/net.py:net", "pytorch", usable_threads())
    found = by_name(inspected(job, {"OMP_THREAD_LIMIT": "1", "MKL_CBWR": "COMPATIBLE"}))
    if usable_threads() > 1:
        assert found["too-few-threads"].fix == "unset OMP_THREAD_LIMIT"
    if "avx2" in read_processor().flags:
        assert found["instruction-set-capped"].fix == "unset MKL_CBWR"
        assert "mkl-slow-path" not in found


GROUPS = Path("/sys/fs/cgroup/cpu")  # of cgroup v1


@pytest.mark.skipif(
    usable_threads() < 2 or not os.access(GROUPS / "cgroup.procs", os.W_OK),
    reason="needs two cores, and to be root where cgroup v1 is mounted",
)
def test_more_threads_than_the_quota_of_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    own = GROUPS / f"perfsuite-test-{os.getpid()}"
    own.mkdir()
    try:
        (own / "cpu.cfs_quota_us").write_text("50000")
        enter = f'echo $$ > {own}/cgroup.procs && exec "$@"'
        plain(monkeypatch)
        evidence = plain_evidence(["sh", "-c", enter, "sh", *PROGRAM])
    finally:
        own.rmdir()
    assert isinstance(evidence, Evidence), evidence
    one = {one.name: one for one in evidence.findings}["too-many-threads"]
    assert "the container may use 0.5 cores" in one.message and "OMP_NUM_THREADS=1" in one.fix


def test_maps_that_nobody_may_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide = f"from perfsuite.libraries import mapped; mapped._MAPS = mapped.Path('{tmp_path}/none')"
    code = f"{hide}; from perfsuite.runner.plain_process import main; main()"
    plain(monkeypatch)
    evidence = plain_evidence([sys.executable, "-P", "-c", code])
    assert isinstance(evidence, Evidence), evidence
    assert "libraries-not-seen" in {one.name for one in evidence.findings}
    assert [one.value for one in evidence.items if one.about == "blas"], "NumPy is asked itself"


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a compiler")
def test_another_blas_in_front_of_numpys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, library = tmp_path / "blas.c", tmp_path / "libblas.so.3"
    source.write_text(REFERENCE)
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
    plain(monkeypatch)
    monkeypatch.setenv("LD_PRELOAD", os.fspath(library))
    evidence = plain_evidence()
    assert isinstance(evidence, Evidence), evidence
    (said,) = [one.value for one in evidence.items if one.name == "NumPy"]
    if "libblas.so.3" not in said:
        pytest.skip(f"this NumPy calls its product by another name: {said}")
    found = {one.name: one for one in evidence.findings}
    assert found["numpy-slow-blas"].severity == "fault"
    assert "LD_PRELOAD" in found["numpy-slow-blas"].fix
