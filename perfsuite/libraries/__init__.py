"""The libraries that engines use: what is loaded, what of it ran, and with which instructions.

`table.loaded()` looks at the process; what engines tell of themselves comes from their sessions;
`used.used(evidence)` draws the conclusion. All of it is in `Evidence.items`, whose `about` is one
of these words. `name` is a library's title (`Library.title`) unless something else is said:

- `library`: a mapped file, or `inside PyTorch`, where it has no file of its own.
- `version`: what the library or its Python package says of itself.
- `threads`: how many its pool has.
- `provider`, `precision`, `kernel`, `kernels`: as the engines tell them.
- `engine`: it ran the net; the value says how many kernels.
- `dispatch`: what the library says of the processor that it found, in its own words, such as
  `Intel AVX-512 with Intel DL Boost and bfloat16 support` of oneDNN, or
  `Intel(R) Architecture processors` of MKL, which is what it says where it names none.
- `instruction set`: the best that it dispatched to, such as `AVX-512 VNNI` (the names of
  `domain.instruction_sets`), or `baseline`.
- `used`: how much it computed, such as `13 of 14 layers`. A layer is a convolution, a matrix
  product, a recurrent layer or an attention, as in `Evidence.layers`. What is used without
  computing a layer has the value `by the engine` or `its threads`.
- `blas`: name `NumPy`, value such as `OpenBLAS 0.3.29, SkylakeX kernels, 2 threads`, or
  `reference BLAS (libblas.so.3)`; name `PyTorch`, value such as `MKL 2024.2`; `none` without one.
- `setting`: name and value of a switch that matters, as the process has it. Of PyTorch
  `mkldnn.enabled`, `deterministic algorithms`, `flush denormals`; on a card `cudnn.enabled`,
  `cudnn.benchmark`, `cudnn.deterministic`, each `on` or `off`, `matmul fp32 precision`,
  `cudnn.conv fp32 precision`, each `ieee`, `tf32` or `none`, and `compute capability`, as `sm_90`.
  Of ONNX Runtime `session.set_denormal_as_zero`, of OpenVINO `DENORMALS_OPTIMIZATION`, each `on`
  or `off`, or `not told`. Environment variables stand under their own names.
- `layout`, on PyTorch: name `convolution inputs` or `convolution weights`, value
  `12 contiguous, 0 channels-last, 1 neither`; name `oneDNN`, value `12 blocked, 1 channels-last,
  0 plain` (what its convolutions compute on) and name `reorders`, value `28 in a call`, on a card
  those of cuDNN.
- `denormals`: name `weights` or `answers of layers`, value `17 of 11000000 values`, after which
  may stand `; most in features.0: 12 of 432`. Only types that are slow with them are counted.
- `layers`, `libraries`, `thread pools`: name `none`, with the reason why nothing is told of them,
  where something failed.

`values.counts` and `values.part` read the values that are numbers.
"""
