#pragma once

/// The library in one header: what a program needs that trains, saves and uses models, or that brings a trainer of its
/// own. Names of it are in `lockstep`; what they are made of is in the namespaces of the modules, lockstep::models and
/// so on, one a folder.
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
