/* Vector files: annotated hexadecimal.
 *
 *   # A sentence about it.            comments; where one says "key: value", vector_field finds it
 *   00 01 00 58   # Binding request   bytes, and what they are
 *   61*514        # USERNAME          one byte many times
 */
#ifndef VIADUCT_TESTS_VECTORS_HEX_H
#define VIADUCT_TESTS_VECTORS_HEX_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum { VECTOR_MAX = 70000, VECTOR_TEXT = 32768, VECTOR_FILES = 256, VECTOR_NAME = 256 };

struct vector {
  uint8_t bytes[VECTOR_MAX];
  size_t len;
  char text[VECTOR_TEXT]; /* the whole file */
};

/* 0, or -ERR_MISSING, -ERR_RANGE, -ERR_BAD with a line on stderr that names the place. */
int vector_load(const char *path, struct vector *out);
/* The value of "# key: value" in the file; an empty view when there is none. */
struct bytes vector_field(const struct vector *v, const char *key);

struct vector_files {
  char path[VECTOR_FILES][VECTOR_NAME];
  size_t count;
};

/* All *.hex files of a folder, sorted by name. -ERR_MISSING, -ERR_RANGE. */
int vector_list(const char *folder, struct vector_files *out);

#endif
