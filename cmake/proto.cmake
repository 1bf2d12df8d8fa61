# Generates C from every .proto under proto/ with protoc-c at build time; generated headers are included as
# "pb/<path>.pb-c.h" (folder <build>/gen). The generated code is compiled without our warnings.

function(egret_proto)
  find_program(PROTOC_C protoc-c REQUIRED)
  set(root ${CMAKE_SOURCE_DIR}/proto)
  set(out ${CMAKE_BINARY_DIR}/gen/pb)
  file(MAKE_DIRECTORY ${out})
  file(GLOB_RECURSE protos CONFIGURE_DEPENDS RELATIVE ${root} ${root}/*.proto)
  set(generated "")
  foreach(proto IN LISTS protos)
    string(REGEX REPLACE "\\.proto$" "" stem ${proto})
    get_filename_component(dir ${out}/${stem} DIRECTORY)
    file(MAKE_DIRECTORY ${dir})
    add_custom_command(
      OUTPUT ${out}/${stem}.pb-c.c ${out}/${stem}.pb-c.h
      COMMAND ${PROTOC_C} --proto_path=${root} --c_out=${out} ${proto}
      DEPENDS ${root}/${proto} WORKING_DIRECTORY ${root} VERBATIM)
    list(APPEND generated ${out}/${stem}.pb-c.c)
  endforeach()
  if(generated)
    add_library(egret_pb STATIC ${generated})
    target_compile_options(egret_pb PRIVATE -w)
    target_include_directories(egret_pb PUBLIC ${CMAKE_BINARY_DIR}/gen PRIVATE ${out})
    target_include_directories(egret_pb SYSTEM PUBLIC ${out})
    target_link_libraries(egret_pb PUBLIC PkgConfig::libprotobuf_c)
  else()
    add_library(egret_pb INTERFACE)
  endif()
endfunction()
