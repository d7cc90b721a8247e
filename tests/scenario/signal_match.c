/* Patterns of the signalling scenarios: JSON that may have "*" (anything), "$name" (takes what it
 * meets, later compares) and a member "..." (others may stand beside). */
#include <string.h>

#include "tests/scenario/signal_script.h"

static bool match(struct script *s, json_t *pattern, json_t *value);

static bool match_text(struct script *s, const char *pattern, json_t *value)
{
  if (strcmp(pattern, "*") == 0) {
    return true;
  }
  if (!json_is_string(value)) {
    return false;
  }
  const char *text = json_string_value(value);
  if (pattern[0] == '$') {
    const char *known = script_var(s, pattern + 1);
    if (known != NULL) {
      return strcmp(known, text) == 0;
    }
    script_set_var(s, pattern + 1, text);
    return true;
  }
  size_t len = strlen(pattern);
  if (len > 0 && pattern[len - 1] == '*') {
    return strncmp(pattern, text, len - 1) == 0;
  }
  return strcmp(pattern, text) == 0;
}

static bool match_object(struct script *s, json_t *pattern, json_t *value)
{
  const char *key;
  json_t *want;
  size_t named = json_object_size(pattern);
  bool open = json_object_get(pattern, "...") != NULL;
  if (!json_is_object(value) || (!open && named != json_object_size(value))) {
    return false;
  }
  json_object_foreach(pattern, key, want)
  {
    json_t *got = json_object_get(value, key);
    if (strcmp(key, "...") != 0 && (got == NULL || !match(s, want, got))) {
      return false;
    }
  }
  return true;
}

static bool match_array(struct script *s, json_t *pattern, json_t *value)
{
  if (!json_is_array(value) || json_array_size(pattern) != json_array_size(value)) {
    return false;
  }
  for (size_t i = 0; i < json_array_size(pattern); i++) {
    if (!match(s, json_array_get(pattern, i), json_array_get(value, i))) {
      return false;
    }
  }
  return true;
}

static bool match(struct script *s, json_t *pattern, json_t *value)
{
  switch (json_typeof(pattern)) {
  case JSON_STRING:
    return match_text(s, json_string_value(pattern), value);
  case JSON_OBJECT:
    return match_object(s, pattern, value);
  case JSON_ARRAY:
    return match_array(s, pattern, value);
  case JSON_INTEGER:
  case JSON_REAL:
  case JSON_TRUE:
  case JSON_FALSE:
  case JSON_NULL:
  default:
    return json_equal(pattern, value) == 1;
  }
}

bool script_match(struct script *s, const char *pattern, const char *text)
{
  json_error_t error;
  json_t *want = json_loads(pattern, JSON_ALLOW_NUL, &error);
  if (want == NULL) {
    script_fail(s, "the pattern is no JSON: %s", error.text);
  }
  json_t *got = json_loads(text, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
  if (got == NULL) {
    script_fail(s, "the server sent what is no JSON (%s): %s", error.text, text);
  }
  bool same = match(s, want, got);
  json_decref(want);
  json_decref(got);
  return same;
}
