"""Which nets of torchvision and timm are profiled, quantized, pruned and factorized, and which not.

    python benchmarks/zoo.py OUT [--only 'torchvision:vit*'] [--every]

Each net has random weights. It is run in fp32 on eager PyTorch, ONNX Runtime and OpenVINO, and in
INT8, pruned and factorized on both engines that take graphs; a process measures for a moment, since
the question is whether the answers hold and not how fast they come. Prints a row a net: `ok`, or
the first words of what was refused. By default the smallest net of each family is run, with
`--every` all of torchvision's. A net whose run is in OUT is not run again, and one that was cut
short goes on.
"""

from __future__ import annotations

import argparse
import sys
from fnmatch import fnmatch
from pathlib import Path

import perfsuite
from perfsuite.domain.record import Record
from perfsuite.judge.status import trouble
from perfsuite.report.sentences import reason_text

TORCHVISION = """
alexnet convnext_tiny densenet121 efficientnet_b0 efficientnet_v2_s googlenet inception_v3
maxvit_t mnasnet0_5 mobilenet_v2 mobilenet_v3_small regnet_x_400mf regnet_y_400mf resnet18 resnet50
resnext50_32x4d shufflenet_v2_x0_5 squeezenet1_1 swin_t swin_v2_t vgg11 vgg11_bn vit_b_32
wide_resnet50_2
deeplabv3_mobilenet_v3_large fcn_resnet50 lraspp_mobilenet_v3_large
fasterrcnn_mobilenet_v3_large_320_fpn fcos_resnet50_fpn keypointrcnn_resnet50_fpn
maskrcnn_resnet50_fpn retinanet_resnet50_fpn ssd300_vgg16 ssdlite320_mobilenet_v3_large
mc3_18 mvit_v1_b r2plus1d_18 r3d_18 s3d swin3d_t raft_small
"""
TIMM = """
beit_base_patch16_224 botnet26t_256 cait_xxs24_224 coat_tiny coatnet_nano_rw_224 convit_tiny
convmixer_768_32 convnextv2_atto crossvit_tiny_240 cspresnet50 davit_tiny deit_tiny_patch16_224
dla34 dpn68 edgenext_xx_small efficientformer_l1 efficientnet_lite0 efficientvit_b0
eva02_tiny_patch14_224 fastvit_t8 fbnetc_100 gcvit_xxtiny gernet_s ghostnet_100 gmixer_24_224
hardcorenas_a hgnet_tiny hrnet_w18_small inception_next_tiny lcnet_050 levit_128s mixer_s32_224
mobilenetv3_large_100 mobilenetv4_conv_small mobileone_s0 mobilevit_xxs nf_resnet50 pit_ti_224
poolformer_s12 pvt_v2_b0 regnety_002 repghostnet_050 repvgg_a0 repvit_m0_9 res2net50_26w_4s
rexnet_100 seresnet50 selecsls42b sequencer2d_s skresnet18 tiny_vit_5m_224 tinynet_e
tnt_s_patch16_224 tresnet_m twins_pcpvt_small vgg11 visformer_tiny volo_d1_224 vovnet39a
xception41 xcit_nano_12_p8_224
"""
MEASURE = perfsuite.Measure(calls=2, seconds=0.0, warmup_seconds=0.1, timeout_seconds=900.0)
COLUMNS = (
    ("fp32", "pytorch"),
    ("fp32", "onnxruntime"),
    ("fp32", "openvino"),
    ("int8", "onnxruntime"),
    ("int8", "openvino"),
    ("prune", "onnxruntime"),
    ("lowrank", "onnxruntime"),
)


def suite_of(reference: str) -> perfsuite.Suite:
    """Return the suite of one net."""
    graphs = ["onnxruntime", "openvino"]
    return perfsuite.Suite(
        name="zoo",
        workloads=[reference],
        runtimes=["pytorch", *graphs],
        recipes=[
            perfsuite.Recipe("int8", [perfsuite.Int8(calibration_samples=8)], runtimes=graphs),
            perfsuite.Recipe("prune", [perfsuite.Prune(macs=0.8)], runtimes=["onnxruntime"]),
            perfsuite.Recipe("lowrank", [perfsuite.Lowrank(macs=0.8)], runtimes=["onnxruntime"]),
        ],
        processes=1,
        measure=MEASURE,
        meters=[],
    )


def outcome(record: Record) -> str:
    """Return `ok` with what the record says of a part, or why there is no result."""
    if record.status == "ok":
        return "ok"
    why = trouble(record)
    return f"{record.status}: {reason_text(why)[:90] if why else ''}"


def row(reference: str, run: perfsuite.Run) -> str:
    """Return the row of a net."""
    records = {(one.cell.recipe, one.cell.runtime): one for one in run.records.values()}
    eager = records["fp32", "pytorch"]
    macs = eager.values.get("macs")
    words = [reference, f"{macs[0] / 1e9:.3g} G" if macs else "?"]
    words += [outcome(records[column]) for column in COLUMNS]
    return f"| {' | '.join(word.replace('|', '/') for word in words)} |"


def main() -> None:
    """Run the nets that are asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", default="*")
    parser.add_argument("--every", action="store_true")
    given = parser.parse_args()
    mine = TORCHVISION.split()
    if given.every:
        from torchvision import models

        mine = models.list_models()
    names = [f"torchvision:{name}" for name in mine] + [f"timm:{name}" for name in TIMM.split()]
    print("| net | MACs | " + " | ".join(" ".join(column) for column in COLUMNS) + " |")
    print("|---|---:|" + "---|" * len(COLUMNS))
    for name in names:
        if not fnmatch(name, given.only):
            continue
        folder = given.out / name.replace(":", "-")
        print(name, file=sys.stderr)
        judged = perfsuite.run(suite_of(name), folder, resume=(folder / "run.jsonl").is_file())
        print(row(name, judged.run), flush=True)


if __name__ == "__main__":
    main()
