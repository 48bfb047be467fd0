# Finds what the project links, for the build and for find_package(lockstep) after installation. LibTorch, NCCL and
# Arrow come from the Python wheels of LOCKSTEP_PYTHON unless Torch_DIR, NCCL_ROOT or Arrow_ROOT point to a site's own.

find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(CURL 7.66 REQUIRED)
find_package(nlohmann_json 3.10 REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(HDF5 REQUIRED COMPONENTS C)
find_package(MPI REQUIRED COMPONENTS C)
find_package(PkgConfig REQUIRED)
pkg_check_modules(oniguruma REQUIRED IMPORTED_TARGET GLOBAL oniguruma)
find_package(ICU REQUIRED COMPONENTS uc)
find_package(LibTorch REQUIRED)
find_package(NCCL REQUIRED)
find_package(ArrowWheel REQUIRED)
