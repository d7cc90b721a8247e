/* A client's message into struct sig_message: which members its type has, of which kind and how
 * long (signalling-protocol.md section 2). Called by sig.c for each message. */
#include "signal/core/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

/* The members that any type has. */
enum field {
  TYPE,
  ROOM,
  TO,
  NAME,
  META,
  DATA,
  ID,
  T,
  SEQ,
  TOKEN,
  RESUME,
  SESSION,
  KEY,
  AFTER,
  FIELD_COUNT
};

#define BIT(field) (1u << (field))

enum form {
  FORM_TEXT,   /* a string, unfolded */
  FORM_LABEL,  /* the same without control characters: people will see it */
  FORM_OPAQUE, /* any value, as sent */
  FORM_SCALAR, /* a string or a number, as sent */
  FORM_UINT,
  FORM_OBJECT
};

static const struct field_row {
  const char *name;
  enum form form;
  size_t offset; /* in sig_message; of a uint64_t for FORM_UINT */
} field_row[FIELD_COUNT] = {
    [TYPE] = {"type", FORM_TEXT, 0},
    [ROOM] = {"room", FORM_LABEL, offsetof(struct sig_message, room)},
    [TO] = {"to", FORM_TEXT, offsetof(struct sig_message, to)},
    [NAME] = {"name", FORM_LABEL, offsetof(struct sig_message, name)},
    [META] = {"meta", FORM_OPAQUE, offsetof(struct sig_message, meta)},
    [DATA] = {"data", FORM_OPAQUE, offsetof(struct sig_message, data)},
    [ID] = {"id", FORM_SCALAR, offsetof(struct sig_message, id)},
    [T] = {"t", FORM_OPAQUE, offsetof(struct sig_message, t)},
    [SEQ] = {"seq", FORM_UINT, offsetof(struct sig_message, seq)},
    [TOKEN] = {"token", FORM_TEXT, offsetof(struct sig_message, token)},
    [RESUME] = {"resume", FORM_OBJECT, offsetof(struct sig_message, resume)},
    [SESSION] = {"session", FORM_TEXT, offsetof(struct sig_message, session)},
    [KEY] = {"key", FORM_TEXT, offsetof(struct sig_message, key)},
    [AFTER] = {"after", FORM_UINT, offsetof(struct sig_message, after)},
};

/* Members that a type does not name are ignored, whatever they are. */
static const struct type_row {
  const char *name;
  uint32_t needs, may;
} type_row[SIG_TYPE_COUNT] = {
    [SIG_HELLO] = {"hello", 0, BIT(TOKEN) | BIT(RESUME)},
    [SIG_JOIN] = {"join", BIT(ROOM), BIT(NAME) | BIT(META)},
    [SIG_LEAVE] = {"leave", BIT(ROOM), 0},
    [SIG_SIGNAL] = {"signal", BIT(ROOM) | BIT(TO) | BIT(DATA), BIT(ID)},
    [SIG_BROADCAST] = {"broadcast", BIT(ROOM) | BIT(DATA), BIT(ID)},
    [SIG_KICK] = {"kick", BIT(ROOM) | BIT(TO), BIT(ID)},
    [SIG_ACK] = {"ack", BIT(SEQ), 0},
    [SIG_PING] = {"ping", 0, BIT(T)},
    [SIG_ICE] = {"ice", 0, 0},
    [SIG_BYE] = {"bye", 0, 0},
};

static const uint32_t resume_needs = BIT(SESSION) | BIT(KEY) | BIT(AFTER);

struct found_set {
  struct sig_found field[FIELD_COUNT];
  uint32_t present; /* BIT(field) */
  int twice;        /* a field that stands twice, or -1 */
};

struct reader {
  const struct sig_limits *limits;
  struct sig_message *out;
  struct sig_refusal *refusal;
};

#define REFUSE(refusal, code, ...)                                                                 \
  ((refusal)->error = (code),                                                                      \
   (void)snprintf((refusal)->prose, sizeof((refusal)->prose), __VA_ARGS__), -ERR_BAD)

static int field_of(struct bytes name)
{
  for (int i = 0; i < FIELD_COUNT; i++) {
    if (strlen(field_row[i].name) == name.len &&
        memcmp(field_row[i].name, name.at, name.len) == 0) {
      return i;
    }
  }
  return -1;
}

static void note_member(void *arg, const struct sig_found *found)
{
  struct found_set *set = arg;
  uint8_t plain[16];
  struct bytes name = found->name;
  if (found->name_has_escapes) {
    /* What does not fit is longer than any name that we know. */
    struct buf b;
    buf_init(&b, plain, sizeof(plain));
    if (sig__unescape(name, &b) != 0) {
      return;
    }
    name = (struct bytes){plain, b.len};
  }
  int field = field_of(name);
  if (field < 0) {
    return;
  }
  if (set->present & BIT(field)) {
    set->twice = field;
    return;
  }
  set->present |= BIT(field);
  set->field[field] = *found;
}

/* Every member of the object that we know. */
static int collect(struct bytes text, struct found_set *set, struct sig_refusal *refusal)
{
  set->present = 0;
  set->twice = -1;
  struct sig_scan scan = {.arg = set, .member = note_member};
  switch (sig__scan(&scan, text, SIG_DEPTH)) {
  case 0:
    break;
  case -ERR_RANGE:
    return REFUSE(refusal, SIG_ERROR_BAD_JSON, "nested deeper than %d levels", SIG_DEPTH);
  case -ERR_MISSING:
    return REFUSE(refusal, SIG_ERROR_BAD_MESSAGE, "a message is one JSON object");
  default:
    return REFUSE(refusal, SIG_ERROR_BAD_JSON, "this is not JSON in UTF-8: see byte %zu",
                  scan.stop + 1);
  }
  if (set->twice >= 0) {
    return REFUSE(refusal, SIG_ERROR_BAD_MESSAGE, "'%s' stands twice in one object",
                  field_row[set->twice].name);
  }
  return 0;
}

/* U+0000 to U+001F, U+007F to U+009F: in what people read they only deceive. */
static bool has_control(struct bytes text)
{
  for (size_t i = 0; i < text.len; i++) {
    uint8_t c = text.at[i];
    if (c < 0x20 || c == 0x7F) {
      return true;
    }
    if (c == 0xC2 && i + 1 < text.len && text.at[i + 1] < 0xA0) {
      return true;
    }
  }
  return false;
}

/* 0: no limit. */
static uint32_t field_limit(enum field field, const struct sig_limits *limits)
{
  switch ((int)field) {
  case ROOM:
    return limits->room_length;
  case NAME:
    return limits->name_length;
  case META:
    return limits->meta_size;
  case ID:
    return SIG_ID_SIZE;
  case T:
    return SIG_T_SIZE;
  case TOKEN:
    return SIG_TOKEN_SIZE;
  default:
    return 0;
  }
}

static int check_length(const struct reader *r, enum field field, struct bytes value)
{
  uint32_t limit = field_limit(field, r->limits);
  if (limit != 0 && value.len > limit) {
    return REFUSE(r->refusal, SIG_ERROR_BAD_MESSAGE,
                  "'%s' is %zu bytes long; at most %" PRIu32 " are allowed", field_row[field].name,
                  value.len, limit);
  }
  return 0;
}

/* Points at the text of a string: into the message where it has no escapes, else into scratch. */
static int unfold(const struct reader *r, enum field field, struct bytes json, struct bytes *out)
{
  struct bytes between = {json.at + 1, json.len - 2};
  if (between.len == 0 || memchr(between.at, '\\', between.len) == NULL) {
    *out = between;
    return 0;
  }
  struct sig_message *m = r->out;
  struct buf b;
  buf_init(&b, m->scratch + m->scratch_len, SIG_SCRATCH - m->scratch_len);
  int err = sig__unescape(between, &b);
  if (err == -ERR_FULL) {
    return REFUSE(r->refusal, SIG_ERROR_BAD_MESSAGE, "'%s' is too long to be written with escapes",
                  field_row[field].name);
  }
  if (err != 0) {
    return REFUSE(r->refusal, SIG_ERROR_BAD_MESSAGE,
                  "'%s' has half of a surrogate pair (\\uD800 to \\uDFFF come in twos)",
                  field_row[field].name);
  }
  m->scratch_len += b.len;
  *out = (struct bytes){b.at, b.len};
  return 0;
}

static int read_text(const struct reader *r, enum field field, const struct sig_found *found,
                     struct bytes *out)
{
  if (found->kind != SIG_KIND_STRING) {
    return REFUSE(r->refusal, SIG_ERROR_BAD_MESSAGE, "'%s' must be a string",
                  field_row[field].name);
  }
  struct bytes text;
  int err = unfold(r, field, found->value, &text);
  if (err != 0) {
    return err;
  }
  if (field_row[field].form == FORM_LABEL && has_control(text)) {
    return REFUSE(r->refusal, SIG_ERROR_BAD_MESSAGE, "'%s' has a control character in it",
                  field_row[field].name);
  }
  if (field == ROOM && text.len == 0) {
    return REFUSE(r->refusal, SIG_ERROR_BAD_MESSAGE, "'room' must not be empty");
  }
  err = check_length(r, field, text);
  if (err == 0) {
    *out = text;
  }
  return err;
}

static int read_uint(const struct reader *r, enum field field, const struct sig_found *found)
{
  /* What every JSON reader holds exactly: RFC 8259 section 6. */
  const uint64_t max = ((uint64_t)1 << 53) - 1;
  uint64_t value;
  if (found->kind != SIG_KIND_NUMBER || parse_uint(found->value, max, &value) != 0) {
    return REFUSE(r->refusal, SIG_ERROR_BAD_MESSAGE,
                  "'%s' must be a whole number from 0 to %" PRIu64, field_row[field].name, max);
  }
  memcpy((uint8_t *)r->out + field_row[field].offset, &value, sizeof(value));
  return 0;
}

static int read_field(const struct reader *r, enum field field, const struct sig_found *found)
{
  enum form form = field_row[field].form;
  if (form == FORM_UINT) {
    return read_uint(r, field, found);
  }
  struct bytes value = found->value;
  int err = 0;
  if (form == FORM_TEXT || form == FORM_LABEL) {
    err = read_text(r, field, found, &value);
  } else if (form == FORM_SCALAR && found->kind != SIG_KIND_STRING &&
             found->kind != SIG_KIND_NUMBER) {
    err = REFUSE(r->refusal, SIG_ERROR_BAD_MESSAGE, "'%s' must be a string or a number",
                 field_row[field].name);
  } else if (form == FORM_OBJECT && found->kind != SIG_KIND_OBJECT) {
    err =
        REFUSE(r->refusal, SIG_ERROR_BAD_MESSAGE, "'%s' must be an object", field_row[field].name);
  } else {
    err = check_length(r, field, value);
  }
  if (err == 0) {
    memcpy((uint8_t *)r->out + field_row[field].offset, &value, sizeof(value));
  }
  return err;
}

/* Reads what `needs` and `may` name. null in an optional member is the same as none. */
static int read_fields(const struct reader *r, const struct found_set *set, const char *owner,
                       uint32_t needs, uint32_t may)
{
  for (int i = 0; i < FIELD_COUNT; i++) {
    bool needed = (needs & BIT(i)) != 0, present = (set->present & BIT(i)) != 0;
    if (!needed && (!(may & BIT(i)) || !present || set->field[i].kind == SIG_KIND_NULL)) {
      continue;
    }
    if (!present) {
      return REFUSE(r->refusal, SIG_ERROR_BAD_MESSAGE, "'%s' needs the member '%s'", owner,
                    field_row[i].name);
    }
    int err = read_field(r, (enum field)i, &set->field[i]);
    if (err != 0) {
      return err;
    }
  }
  return 0;
}

static int read_type(const struct reader *r, const struct found_set *set)
{
  struct bytes type;
  if (!(set->present & BIT(TYPE))) {
    return REFUSE(r->refusal, SIG_ERROR_BAD_MESSAGE, "a message needs the member 'type'");
  }
  int err = read_text(r, TYPE, &set->field[TYPE], &type);
  if (err != 0) {
    return err;
  }
  for (int i = 0; i < SIG_TYPE_COUNT; i++) {
    if (bytes_equal(type, bytes_of(type_row[i].name))) {
      r->out->type = (enum sig_type)i;
      return 0;
    }
  }
  return REFUSE(r->refusal, SIG_ERROR_UNKNOWN_TYPE,
                "no such type; there are hello, join, leave, signal, broadcast, kick, ack, ping, "
                "ice and bye");
}

static int read_resume(const struct reader *r)
{
  struct found_set set;
  int err = collect(r->out->resume, &set, r->refusal);
  return err != 0 ? err : read_fields(r, &set, "resume", resume_needs, 0);
}

int sig__message_read(struct bytes text, const struct sig_limits *limits, struct sig_message *out,
                      struct sig_refusal *refusal)
{
  memset(out, 0, offsetof(struct sig_message, scratch));
  out->scratch_len = 0;
  refusal->id = (struct bytes){NULL, 0};
  struct reader r = {.limits = limits, .out = out, .refusal = refusal};
  struct found_set set;
  int err = collect(text, &set, refusal);
  if (err != 0) {
    return err;
  }
  /* An error names the message that it is about wherever that message has a proper name. */
  const struct sig_found *id = &set.field[ID];
  if ((set.present & BIT(ID)) && id->value.len <= SIG_ID_SIZE &&
      (id->kind == SIG_KIND_STRING || id->kind == SIG_KIND_NUMBER)) {
    refusal->id = id->value;
  }
  err = read_type(&r, &set);
  if (err != 0) {
    return err;
  }
  const struct type_row *row = &type_row[out->type];
  err = read_fields(&r, &set, row->name, row->needs, row->may);
  return err == 0 && out->resume.at != NULL ? read_resume(&r) : err;
}
