/* JSON: jansson reads and checks it; these helpers add what jansson does not do: find a member's
 * bytes as they were sent (opaque members are passed on byte for byte), and write into a caller's
 * buffer. */
#ifndef VIADUCT_BASE_JSON_H
#define VIADUCT_BASE_JSON_H

#include <jansson.h>

#include "base/bytes.h"

/* Parses one JSON value (UTF-8, no duplicate members, at most `depth` levels of nesting, nothing
 * behind it). A string may hold NUL ("\u0000"), so take its length from json_string_length; nesting
 * beyond jansson's own 2048 levels is too deep whatever `depth` is. Returns owned: json_decref it.
 * -ERR_BAD, -ERR_RANGE (too deep), -ERR_NOMEM. */
int json_read(struct bytes text, size_t depth, json_t **out);

/* The bytes of a top-level member's value in an object that json_read accepted, without the white
 * space around it: a view into `text`. -ERR_MISSING. Member names that are written with escapes are
 * compared as what they mean. */
int json_span(struct bytes text, const char *member, struct bytes *value);

/* A string with its quotes; what JSON wants escaped is escaped, the rest goes through as it is. */
void json_put_string(struct buf *b, struct bytes text);

#endif
