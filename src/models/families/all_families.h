#pragma once

#include "lockstep/models/families.h"

namespace lockstep::models {

// Declares a function NAME_family() for each family, which describes it. models/families.cpp calls them.
#define LOCKSTEP_MODEL_TYPE(model_type, ...) Family model_type##_family();
#include "lockstep/data/model_types.inc"
#undef LOCKSTEP_MODEL_TYPE

}  // namespace lockstep::models
