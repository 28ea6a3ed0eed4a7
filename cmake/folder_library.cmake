# stepcast_folder_library(<folder> [USES library...] [THIRD_PARTY library...] [EXCEPT prefix...])
#
# Library stepcast_<folder> of all .cpp files below <folder>, with its .h files as a header set.
#   USES         libraries whose headers this folder's headers may include (public)
#   THIRD_PARTY  libraries for this folder's .cpp files only (private)
#   EXCEPT       paths, relative to the root, whose files are left out
# A folder without a .cpp file is an INTERFACE library, and turns into a static one when the first .cpp arrives.
function(stepcast_folder_library folder)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "USES;THIRD_PARTY;EXCEPT")
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} ${folder}/*.cpp)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} ${folder}/*.h)
  foreach(prefix ${arg_EXCEPT})
    list(FILTER sources EXCLUDE REGEX "^${prefix}")
    list(FILTER headers EXCLUDE REGEX "^${prefix}")
  endforeach()

  set(library stepcast_${folder})
  if(sources)
    add_library(${library} STATIC ${sources})
    target_link_libraries(${library} PRIVATE stepcast_flags ${arg_THIRD_PARTY})
    set(scope PUBLIC)
  else()
    add_library(${library} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_link_libraries(${library} ${scope} ${arg_USES})
  target_include_directories(${library} ${scope} ${PROJECT_SOURCE_DIR})
  target_sources(${library} ${scope} FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${headers})
endfunction()
