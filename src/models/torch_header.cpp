// Gives the target that owns the precompiled torch/torch.h something to compile.
