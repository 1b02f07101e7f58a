"""Every method of a user's task: what it raises, and what it gives of a wrong type, is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from perfsuite import Model, Preprocessing, SubsetMetric, Task, TrainingSet, Workload
from perfsuite.errors import BuildError, ConfigError, Unsupported
from perfsuite.workloads.checked import CheckedTask, checked

ARRAY = np.zeros((2, 3), np.float32)
RNG = np.random.default_rng(0)


def task(**methods: Any) -> CheckedTask:
    """Return a checked task whose methods give what is told, or call it if it is a function."""
    own = {
        name: what
        if isinstance(what, str | property)
        else (lambda self, *given, what=what: what() if callable(what) else what)
        for name, what in methods.items()
    }
    return CheckedTask("net", type("Own", (Task,), own)(), own.get("metric_name", ""))


CALLS: dict[str, Callable[[Task], object]] = {
    "inputs": lambda task: task.inputs(2, 0),
    "calibration": lambda task: list(task.calibration(4)),
    "train": lambda task: task.train(),
    "rows": lambda task: task.rows(lambda inputs: [], 4),
    "validation": lambda task: task.validation(lambda inputs: [], 4),
    "held_out": lambda task: task.held_out(),
    "metrics": lambda task: task.metrics(),
    "metric": lambda task: task.metric(np.zeros((4, 1))),
    "from_picture": lambda task: task.from_picture(np.zeros((2, 2, 3), np.uint8)),
    "right": lambda task: task.right(np.zeros((4, 1))),
    "shown": lambda task: task.shown(lambda inputs: [], np.zeros((4, 1)), [0, 2], 4),
    "preprocessing": lambda task: task.preprocessing(),
    "agreement": lambda task: task.agreement([], [], "fp32"),
    "fingerprint": lambda task: task.fingerprint(),
}


# Those that give None or nothing where a task lacks them.
OPTIONAL = {"agreement", "held_out", "metrics", "preprocessing", "right"}


def test_every_method_of_a_task_is_called() -> None:
    methods = {name for name, value in vars(Task).items() if callable(value)}
    assert methods == set(CALLS)


@pytest.mark.parametrize("method", CALLS)
def test_what_a_method_raises_is_told(method: str) -> None:
    def fails() -> None:
        raise SystemExit

    with pytest.raises(
        BuildError, match=rf"^net: its {method}\(\) failed in line \d+ of .*: raise"
    ):
        CALLS[method](task(**{method: fails}))


@pytest.mark.parametrize("method", sorted(CALLS.keys() - OPTIONAL))
def test_what_a_task_lacks_is_said_of_the_workload(method: str) -> None:
    if method == "fingerprint":
        assert task().fingerprint() == ""
    else:
        with pytest.raises(Unsupported, match=r"^net: "):
            CALLS[method](task())


def test_what_a_task_itself_says_is_left_as_it_is() -> None:
    def refuses() -> None:
        raise Unsupported("the data are not here: fetch them")

    with pytest.raises(Unsupported, match=r"^the data are not here"):
        task(train=refuses).train()


def test_whether_a_task_gives_training_samples_is_told_without_asking_it() -> None:
    def fails() -> None:
        raise AssertionError("it was asked")

    assert not task().trains and not Task().trains
    assert task(train=fails).trains
    assert not task(train=fails, trains=property(lambda self: False)).trains


@pytest.mark.parametrize(
    ("method", "found", "words"),
    [
        ("inputs", None, "must give a dict of input name to NumPy array, not None"),
        ("inputs", {}, "gives no input"),
        ("inputs", {"x": [1.0]}, "must give a NumPy array as 'x', not list"),
        ("inputs", {1: ARRAY}, "must give a text as the name of each input, not int"),
        ("from_picture", ARRAY, "must give a dict of input name to NumPy array, not ndarray"),
        ("calibration", [ARRAY], "must give a dict of input name to NumPy array, not ndarray"),
        ("train", (ARRAY, ARRAY), "must give a perfsuite.TrainingSet, not tuple"),
        ("train", TrainingSet(ARRAY, ARRAY[:1], lambda a, b: a), "gives 2 inputs and 1 targets"),
        ("rows", [[1.0]], "must give a NumPy array (samples, columns), not list"),
        ("rows", ARRAY[0], "one row a sample, not float32 (3,)"),
        ("rows", ARRAY.astype(object), "must give numbers as an array (samples, columns)"),
        ("validation", [[1.0]], "must give a NumPy array (samples, columns), not list"),
        ("validation", ARRAY[0], "one row a sample, not float32 (3,)"),
        ("held_out", [1, 2], "must give None or an array of places of training samples, not list"),
        ("held_out", ARRAY[0] > 0, "not bool (3,); of a mask take numpy.flatnonzero(mask)"),
        ("held_out", ARRAY[0], "whole numbers from 0, not float32 (3,)"),
        ("metrics", ["top1"], "must give a dict of metric name to function of the rows, not list"),
        ("metrics", {"top1": 0.9}, "must give a dict of metric name to function of the rows, not"),
        ("metric", None, "must give a number, not None"),
        ("metric", "0.9", "must give a number, not str"),
        ("metric", ARRAY, "must give a number, not ndarray"),
        ("agreement", [0.1], "must give None or a dict of output name to number, not list"),
        ("agreement", {"output": "close"}, "must give a number, not str"),
        ("fingerprint", 3, "must give a text, not int"),
        ("right", [True] * 4, "must give None or an array of one truth value a row, not list"),
        ("right", np.zeros(4), "one truth value a row, (4,), not float64 (4,)"),
        ("right", np.zeros(3, bool), "one truth value a row, (4,), not bool (3,)"),
        ("shown", None, "must give a list of perfsuite.Shown, not None"),
        ("shown", [(ARRAY, "cat", "dog")], "must give a list of perfsuite.Shown, not tuple"),
        ("shown", [], "gives 0 samples of 2 places"),
        ("preprocessing", {}, "must give a perfsuite.Preprocessing, or None, not dict"),
    ],
)
def test_what_is_of_a_wrong_type_is_told(method: str, found: object, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        CALLS[method](task(**{method: lambda: found}))
    assert str(caught.value).startswith(f"net: its {method}() ")
    assert words in str(caught.value)


def test_what_is_right_comes_through() -> None:
    inputs = {"x": ARRAY}
    assert task(inputs=inputs).inputs(2, 0) is inputs
    assert list(task(calibration=[inputs, inputs]).calibration(4)) == [inputs, inputs]
    assert task(rows=lambda: ARRAY).rows(lambda inputs: [], 4) is ARRAY
    assert task(validation=lambda: ARRAY).validation(lambda inputs: [], 4) is ARRAY
    places = np.arange(2)
    assert task(held_out=lambda: places).held_out() is places and task().held_out() is None
    for value in (1, 1.0, np.float32(1), np.array([1.0]), np.bool_(True)):
        found = task(metric=lambda value=value: value).metric(ARRAY)
        assert found == 1.0 and type(found) is float
    assert task().agreement([], [], "fp32") is None
    assert task().preprocessing() is None
    how = Preprocessing(8, 9)
    assert task(preprocessing=lambda: how).preprocessing() is how
    assert task(agreement={"y": np.float64(0.5)}).agreement([], [], "fp32") == {"y": 0.5}


def test_each_of_several_metrics_is_checked() -> None:
    of_some = SubsetMetric(0, lambda rows: 1 / 0)
    found = task(metrics=lambda: {"top1": lambda rows: None, "top5": of_some}).metrics()
    with pytest.raises(ConfigError, match=r"net: its metric 'top1' must give a number, not None"):
        found["top1"](ARRAY)
    with pytest.raises(BuildError, match=r"net: its metric 'top5' failed in line .* with ZeroDiv"):
        found["top5"](ARRAY + 1)
    assert isinstance(found["top5"], SubsetMetric) and found["top5"].column == 0
    assert task(metric_name="top1", metric=lambda: 0.5).metrics()["top1"](ARRAY) == 0.5


def test_labels_are_asked_for_when_they_are_needed() -> None:
    lazy = task(labels=property(lambda self: 1 / 0))
    with pytest.raises(BuildError, match=r"net: its labels failed in line .* with ZeroDivision"):
        lazy.labels  # noqa: B018


def test_functions_of_a_training_set_are_checked() -> None:
    torch = pytest.importorskip("torch")
    given = TrainingSet(ARRAY, ARRAY, lambda batch, rng: batch + 1)
    plain = task(train=lambda: given).train()
    assert plain.loss is None
    assert plain.prepare(ARRAY, RNG)[0, 0] == 1.0
    given = TrainingSet(ARRAY, ARRAY, lambda batch, rng: None, lambda *_: 3.0)  # type: ignore
    wrong = task(train=lambda: given).train()
    with pytest.raises(ConfigError, match="prepare of its training set must give a NumPy array"):
        wrong.prepare(ARRAY, RNG)
    assert wrong.loss is not None
    with pytest.raises(ConfigError, match=r"loss of its training set must give a torch.Tensor"):
        wrong.loss(torch.nn.Identity(), torch.zeros(1), torch.zeros(1))
    given = TrainingSet(ARRAY, ARRAY, lambda batch, rng: 1 / 0, lambda *_: 1 / 0)  # type: ignore
    failing = task(train=lambda: given).train()
    with pytest.raises(BuildError, match="prepare of its training set failed in line"):
        failing.prepare(ARRAY, RNG)
    assert failing.loss is not None
    with pytest.raises(BuildError, match="loss of its training set failed in line"):
        failing.loss(torch.nn.Identity(), torch.zeros(1), torch.zeros(1))
    taught = failing._replace(taught=lambda *_: 3.0)  # type: ignore[arg-type,return-value]
    checked = task(train=lambda: taught).train().taught
    assert checked is not None
    net = torch.nn.Identity()
    with pytest.raises(ConfigError, match=r"taught of its training set must give a torch.Tensor"):
        checked(net, net, torch.zeros(1), torch.zeros(1))


class Rows:
    """As torch's data sets, which give samples by number."""

    def __getitem__(self, number: int) -> np.ndarray:
        return ARRAY


def test_what_a_workload_is_made_of_is_checked() -> None:
    torch = pytest.importorskip("torch")
    found = checked(Workload("net", Model(lambda: torch.nn.ReLU()), Task()))
    assert isinstance(found.model.build(), torch.nn.ReLU)  # type: ignore[misc]
    wrong: Any = torch.nn.ReLU
    with pytest.raises(ConfigError, match=r"its build\(\) must give a torch.nn.Module, not None"):
        checked(Workload("net", Model(lambda: None))).model.build()  # type: ignore
    for workload, words in (
        (Workload("net", wrong), "its model must be a perfsuite.Model, not the class ReLU"),
        (Workload("net", Model(wrong), Rows()), "give what makes batches of them, such as torch"),  # type: ignore[arg-type]
        (Workload("net", Model(wrong), Task), "its task must be a perfsuite.Task, not the class"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ConfigError, match=words):
            checked(workload)
    own = type("Own", (Task,), {"metric_name": None})
    with pytest.raises(ConfigError, match="its metric_name must be a text, not None"):
        checked(Workload("net", Model(wrong), own()))
    own = type("Own", (Task,), {"metric_name": property(lambda self: 1 / 0)})
    with pytest.raises(BuildError, match=r"net: its metric_name failed in line .* ZeroDivision"):
        checked(Workload("net", Model(wrong), own()))


def test_a_net_is_never_given_twice_nor_a_part_of_it() -> None:
    """What a pass changes in one would be changed in the other."""
    nn = pytest.importorskip("torch.nn")
    held, activation = nn.Sequential(nn.Linear(2, 2)), nn.ReLU()

    def tensors(build: Any) -> list[int]:
        built = checked(Workload("net", Model(build), Task())).model.build
        nets = [built(), built()]  # type: ignore[misc]
        return [id(weight) for net in nets for weight in net.parameters()]

    for build, count in (
        (lambda: held, 2),
        (lambda: nn.Sequential(held, activation), 2),
        (lambda: nn.Sequential(nn.ModuleList([nn.Linear(2, 2)]), held[0], nn.Linear(2, 2)), 6),
    ):
        found = tensors(build)
        assert len(set(found)) == len(found) == 2 * count


def test_a_net_of_its_own_is_built_once_and_taken_out_of_what_is_round_its_parts() -> None:
    nn = pytest.importorskip("torch.nn")
    built: list[Any] = []

    def build() -> Any:
        net = nn.Sequential(nn.DataParallel(nn.Linear(2, 2)), activation, nn.Linear(2, 2))
        net.again = net[2]
        built.append(0)
        return net

    activation = nn.ReLU()
    net = checked(Workload("net", Model(build), Task())).model.build()  # type: ignore[misc]
    assert len(built) == 1 and type(net[0]) is nn.Linear and net[1] is activation
