# Defines LibTorch::LibTorch, LibTorch with its C++ front end, and LibTorch::Cuda, its CUDA streams with the CUDA
# runtime that it loads; both also exist on machines without a GPU. Torch_DIR selects a site's own LibTorch. Otherwise
# the torch wheel of LOCKSTEP_PYTHON is linked directly, because the wheel's own TorchConfig.cmake requires an installed
# CUDA toolkit, which a machine without a GPU does not have.
if(NOT TARGET LibTorch::LibTorch)
  add_library(LibTorch::LibTorch INTERFACE IMPORTED)
  # The wheel's libraries export parts of the libstdc++ that they were built with, such as
  # std::filesystem::remove_all, which crashes here. The system's must be found before them.
  target_link_libraries(LibTorch::LibTorch INTERFACE stdc++)
  if(Torch_DIR)
    find_package(Torch REQUIRED)
    target_link_libraries(LibTorch::LibTorch INTERFACE ${TORCH_LIBRARIES})
    target_include_directories(LibTorch::LibTorch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
    set(LibTorch_LIBRARY_DIR "${TORCH_INSTALL_PREFIX}/lib")
    find_package(CUDAToolkit REQUIRED)
    set(LibTorch_CUDART CUDA::cudart)
  else()
    include(${CMAKE_CURRENT_LIST_DIR}/PythonWheels.cmake)
    lockstep_site_packages(site_packages)
    set(torch_root "${site_packages}/torch")
    find_path(LibTorch_INCLUDE_DIR torch/version.h PATHS "${torch_root}/include" NO_DEFAULT_PATH)
    set(LibTorch_LIBRARY_DIR "${torch_root}/lib")
    # The wheel's headers include their own version of fmt; the one that this project links must come first.
    find_path(fmt_headers fmt/format.h NO_CACHE)
    set(fmt_first "${CMAKE_BINARY_DIR}/CMakeFiles/fmt_before_torch")
    file(MAKE_DIRECTORY "${fmt_first}")
    file(CREATE_LINK "${fmt_headers}/fmt" "${fmt_first}/fmt" SYMBOLIC)
    target_include_directories(LibTorch::LibTorch SYSTEM INTERFACE
      "${fmt_first}" "${torch_root}/include" "${torch_root}/include/torch/csrc/api/include")
    # Does not link libtorch.so, which is empty and loads the GPU kernels at every start: see load_gpu_kernels().
    target_link_libraries(LibTorch::LibTorch INTERFACE
      "${LibTorch_LIBRARY_DIR}/libtorch_cpu.so" "${LibTorch_LIBRARY_DIR}/libc10.so")
    file(GLOB cuda_root "${site_packages}/nvidia/cu[0-9]*")
    find_library(LibTorch_CUDART NAMES libcudart.so.13 PATHS "${cuda_root}/lib" NO_DEFAULT_PATH)
    set(cuda_include "${cuda_root}/include")
  endif()
  # at::parallel_for() is a template: code that is compiled without OpenMP silently runs it on one thread. Only fuzz
  # targets do without, because their clang may lack OpenMP. Threads come from LibTorch's own libgomp, if it has one.
  if(NOT LOCKSTEP_FUZZ)
    find_package(OpenMP REQUIRED COMPONENTS CXX)
    target_compile_options(LibTorch::LibTorch INTERFACE ${OpenMP_CXX_FLAGS})
    file(GLOB libtorch_gomp "${LibTorch_LIBRARY_DIR}/libgomp*.so*")
    if(libtorch_gomp AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      target_link_libraries(LibTorch::LibTorch INTERFACE ${libtorch_gomp})
    else()
      target_link_libraries(LibTorch::LibTorch INTERFACE OpenMP::OpenMP_CXX)
    endif()
  endif()
  add_library(LibTorch::Cuda INTERFACE IMPORTED)
  target_link_libraries(LibTorch::Cuda INTERFACE "${LibTorch_LIBRARY_DIR}/libc10_cuda.so" "${LibTorch_CUDART}")
  target_include_directories(LibTorch::Cuda SYSTEM INTERFACE ${cuda_include})
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch REQUIRED_VARS LibTorch_LIBRARY_DIR LibTorch_CUDART)
