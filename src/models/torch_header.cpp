// Empty source for the target that owns the precompiled torch/torch.h.
