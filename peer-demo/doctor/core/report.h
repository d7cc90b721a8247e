/* What the doctor says: for people on a terminal, as JSON, and as one HTML page that needs nothing
 * else. Pure; no name, password or secret is in the facts, so none can be in a report. */
#ifndef VIADUCT_PEER_DEMO_DOCTOR_CORE_REPORT_H
#define VIADUCT_PEER_DEMO_DOCTOR_CORE_REPORT_H

#include "peer-demo/doctor/core/doctor.h"

enum { REPORT_SIZE = 128 * 1024 /* the longest report of DOCTOR_PROBES ways fits */ };

void report_put_text(const struct doctor_facts *facts, const struct doctor_verdict *verdict,
                     bool colours, struct buf *out);
void report_put_json(const struct doctor_facts *facts, const struct doctor_verdict *verdict,
                     struct buf *out);
void report_put_html(const struct doctor_facts *facts, const struct doctor_verdict *verdict,
                     struct buf *out);

#endif
