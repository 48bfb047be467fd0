#pragma once

#include "lockstep/job/hyperparameters.h"
#include "lockstep/models/model.h"

namespace lockstep::train {

/// Adds the adapter that "peft_type: lora" requests to the model, or continues the one that it has, and logs how many
/// parameters are trained. Throws InputError if the model has an adapter that the job does not request, or a different
/// one, or if the saved adapter could not name its base.
void prepare_adapter(LanguageModel& model, const Hyperparameters& hyperparameters);

}  // namespace lockstep::train
