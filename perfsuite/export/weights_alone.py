"""What a net computes of its weights alone, as a graph can hold it: as numbers.

Flows take the inverse of a weight or the logarithm of its determinant, for which ONNX has no
operator. It needs none: these are the same in every call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import fx
    from torch.export import ExportedProgram


def weights_alone(program: ExportedProgram) -> fx.GraphModule | None:
    """Return the module of `program` with the results that follow from weights alone as buffers.

    Weights that a call changes and operators that draw by chance are left as they are. None if
    nothing is computed of weights alone.
    """
    import torch

    made: Any = program.module()
    values: dict[fx.Node, Any] = {}
    for node in made.graph.nodes:
        if node.op == "get_attr" and not _is_changed(node):
            held = torch.fx.graph_module._get_attr(made, node.target)
            if isinstance(held, torch.Tensor):
                values[node] = held
        elif node.op == "call_function" and _follows(node, values):
            arguments = torch.fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
            values[node] = node.target(*arguments[0], **arguments[1])
    ends = [node for node in values if node.op == "call_function" and _is_read(node, values)]
    for index, node in enumerate(ends):
        name = f"{node.name}_of_weights_{index}"
        made.register_buffer(name, values[node].detach().clone())
        with made.graph.inserting_before(node):
            read = made.graph.get_attr(name)
        read.meta = dict(node.meta)
        node.replace_all_uses_with(read)
    made.graph.eliminate_dead_code()
    made.recompile()
    return made if ends else None


def _follows(node: fx.Node, values: dict[fx.Node, Any]) -> bool:
    """Tell whether a result is the same in each call; a unit matrix has no inputs at all."""
    import torch

    target: Any = node.target
    if not isinstance(target, torch._ops.OpOverload):  # as what takes one of several results
        return bool(node.all_input_nodes) and all(one in values for one in node.all_input_nodes)
    drawn = torch.Tag.nondeterministic_seeded in target.tags or "empty" in target._schema.name
    if drawn or target._schema.is_mutable:
        return False
    return all(one in values for one in node.all_input_nodes)


def _is_read(node: fx.Node, values: dict[fx.Node, Any]) -> bool:
    """Tell whether something else than other results of weights reads what is computed of some."""
    import torch

    is_computed = isinstance(values[node], torch.Tensor) and bool(node.all_input_nodes)
    return is_computed and any(one not in values for one in node.users)


def _is_changed(node: fx.Node) -> bool:
    return any(
        getattr(getattr(user.target, "_schema", None), "is_mutable", False) for user in node.users
    )
