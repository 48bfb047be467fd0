#pragma once

/// Declares what a program needs to train, save and use models, or to add its own trainer. The names that such a
/// program writes are in `lockstep`; the types that they use are in the namespace of their module, e.g.
/// lockstep::models.
#include "lockstep/comm/communicator.h"
#include "lockstep/comm/stop_requests.h"
#include "lockstep/core/error.h"
#include "lockstep/core/log.h"
#include "lockstep/data/dataset.h"
#include "lockstep/data/tokenize_datasets.h"
#include "lockstep/generation/trained_model.h"
#include "lockstep/job/hyperparameters.h"
#include "lockstep/text/load_tokenizer.h"
#include "lockstep/train/base_trainer.h"
#include "lockstep/train/generation_model_trainer.h"
#include "lockstep/train/metric_sink.h"
#include "lockstep/train/training_loop.h"
