"""Lines that oneDNN and MKL have printed."""

from __future__ import annotations

CONVOLUTION = (
    "onednn_verbose,v1,primitive,exec,cpu,convolution,jit_dw:avx512_core,forward_training,"
    "src:f32:ap:blocked:aBcd16b::f0 wei:f32:ap:blocked:Abcde16a::f0 bia:f32:a:blocked:a::f0 "
    "dst:f32:ap:blocked:aBcd16b::f0,attr-scratchpad:user,alg:convolution_direct,"
    "g8mb2_ic8oc8_ih14oh12kh3sh1dh0ph0_iw14ow12kw3sw1dw0pw0,0.0170898"
)
REORDER = (
    "onednn_verbose,v1,primitive,exec,cpu,reorder,jit:uni,undef,src:f32::blocked:abcd::f0 "
    "dst:f32:p:blocked:Acdb16a::f0,attr-scratchpad:user,,8x3x3x3,0.00415039"
)
RECURRENT = (
    "onednn_verbose,v1,primitive,exec,cpu,rnn,brgemm:avx512_core,forward_inference,"
    "src_layer:f32::blocked:abc::f0 src_iter:f32::blocked:abcd::f0,attr-scratchpad:user,"
    "alg:vanilla_lstm,l1t4mb1sic16slc16dhc16dic16,0.0610352"
)
MATMUL = (
    "onednn_verbose,v1,primitive,exec,cpu,matmul,brg_matmul:avx512_core_bf16,undef,"
    "src:bf16::blocked:ab::f0 wei:bf16::blocked:ba::f0 dst:bf16::blocked:ab::f0,"
    "attr-scratchpad:user attr-post-ops:sum,,64x512:512x512,0.112061"
)
LOWERED = MATMUL.replace("src:bf16", "src:f32").replace(
    "attr-scratchpad", "attr-fpmath:bf16 attr-scratchpad"
)
OLDER = (
    "dnnl_verbose,exec,cpu,convolution,ref:any,forward_inference,src_u8::blocked:acdb:f0 "
    "wei_s8::blocked:abcd:f0 dst_u8::blocked:acdb:f0,,alg:convolution_direct,mb1_ic3oc8,0.5"
)
STAMPED = CONVOLUTION.replace("v1,primitive", "v1,1693533460193.346924,primitive")
PRODUCT = (
    "MKL_VERBOSE SGEMM(T,N,16,2,8,0x7fff8bc37ad0,0x555f5430a700,8,0x555f5b1382c0,8,0x7fff8bc37af0,"
    "0x555f5b17dc80,16) 83.76us CNR:OFF Dyn:0 FastMM:1 TID:0  NThr:1"
)
MKL_FOR = "MKL_VERBOSE oneMKL 2024.0 Update 2 Product build 20240605 for Intel(R) 64 architecture "
