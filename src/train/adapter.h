#pragma once

#include "lockstep/job/hyperparameters.h"
#include "lockstep/models/model.h"

namespace lockstep::train {

/// Gives the model the adapter that "peft_type: lora" asks for, or continues the one that it has, and says how many
/// parameters are trained. Throws InputError if the model has an adapter that the job does not ask for, or another, or
/// if its base could not be found again.
void prepare_adapter(LanguageModel& model, const Hyperparameters& hyperparameters);

}  // namespace lockstep::train
