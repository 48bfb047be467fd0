# lockstep_site_packages(VAR) sets VAR to the folder of LOCKSTEP_PYTHON's packages.
function(lockstep_site_packages variable)
  if(NOT EXISTS "${LOCKSTEP_PYTHON}")
    message(FATAL_ERROR "LOCKSTEP_PYTHON is '${LOCKSTEP_PYTHON}', which does not exist. Run ./launch/setup.sh, "
      "or give -DLOCKSTEP_PYTHON=/path/to/python of an environment with torch and pyarrow.")
  endif()
  execute_process(COMMAND "${LOCKSTEP_PYTHON}" -c "import sysconfig; print(sysconfig.get_path('platlib'))"
    OUTPUT_VARIABLE folder OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  set(${variable} "${folder}" PARENT_SCOPE)
endfunction()
