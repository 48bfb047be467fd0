#include "lockstep/models/direct_gradients.h"

namespace lockstep {
namespace {

thread_local bool is_active = false;

}  // namespace

DirectGradients::DirectGradients() : before_(is_active) { is_active = true; }
DirectGradients::~DirectGradients() { is_active = before_; }
bool DirectGradients::active() { return is_active; }

}  // namespace lockstep
