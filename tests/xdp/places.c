/* Who is there in the tests of the kernel program, and where. Clients and peers are beyond the
 * router 192.0.2.254 unless it is said otherwise. */
#include "tests/xdp/rig.h"

const char *const rig_commands[] = {
    "link add w0 type veth peer name w0p",
    "addr add 192.0.2.1/24 dev w0",
    "addr add 192.0.2.3/32 dev w0",
    "addr add 192.0.2.4/32 dev w0",
    "addr add 2001:db8::1/64 dev w0 nodad",
    "link set w0p up",
    "link set w0 up",
    "neigh add 192.0.2.254 lladdr 02:00:00:00:00:fe dev w0 nud permanent",
    "neigh add 2001:db8::fe lladdr 02:00:00:00:00:fe dev w0 nud permanent",
    "route add default via 192.0.2.254",
    "-6 route add default via 2001:db8::fe",
    "route add unreachable 198.18.66.0/24",
    /* an interface that has the program too, and one that has not */
    "link add e1 type veth peer name e1p",
    "addr add 198.51.100.1/24 dev e1",
    "addr add 2001:db8:e::1/64 dev e1 nodad",
    "link set e1p up",
    "link set e1 up",
    "neigh add 198.51.100.9 lladdr 02:00:00:00:00:e9 dev e1 nud permanent",
    "neigh add 2001:db8:e::9 lladdr 02:00:00:00:00:e9 dev e1 nud permanent",
    "link add n1 type veth peer name n1p",
    "addr add 198.51.101.1/24 dev n1",
    "link set n1p up",
    "link set n1 up",
    "neigh add 198.51.101.9 lladdr 02:00:00:00:00:99 dev n1 nud permanent",
    NULL,
};

const struct rig_place rig_places[] = {
    /* listeners; q4 is one of RFC 5780's four, n4 has no row in xdp_binding */
    {"s4", "192.0.2.1:3478"},
    {"s6", "[2001:db8::1]:3478"},
    {"q4", "192.0.2.2:3478"},
    {"n4", "192.0.2.1:3479"},
    /* clients with an allocation: of their own limit (l), without a channel back (d), behind a NAT
       that maps one to one (e, f), with an IPv6 relay (x), whose time is up (o), of another
       interface (g) */
    {"a4", "203.0.113.10:50000"},
    {"b4", "203.0.113.11:50001"},
    {"l4", "203.0.113.12:50002"},
    {"d4", "203.0.113.13:50003"},
    {"e4", "203.0.113.14:50004"},
    {"f4", "203.0.113.15:50005"},
    {"x4", "203.0.113.16:50006"},
    {"o4", "203.0.113.17:50007"},
    {"g4", "198.51.100.9:50008"},
    {"a6", "[2001:db8:c::10]:50000"},
    {"b6", "[2001:db8:c::11]:50001"},
    {"l6", "[2001:db8:c::12]:50002"},
    /* and some without */
    {"nobody4", "203.0.113.99:9999"},
    {"nobody6", "[2001:db8:c::99]:9999"},
    {"port0", "203.0.113.99:0"},
    {"any4", "0.0.0.0:9999"},
    {"loop4", "127.0.0.1:9999"},
    {"group4", "224.0.0.5:9999"},
    {"any6", "[::]:9999"},
    {"loop6", "[::1]:9999"},
    {"group6", "[ff02::5]:9999"},
    {"own4", "192.0.2.3:9"}, /* an address of this machine, and no relayed one */
    /* peers */
    {"p4", "198.18.0.20:5000"},
    {"last4", "198.18.0.20:5002"},
    {"over4", "198.18.0.21:5000"},
    {"barred4", "198.18.0.22:5000"},
    {"far4", "198.51.100.9:5001"},  /* by the other interface with the program */
    {"away4", "198.51.101.9:5001"}, /* by the one without it */
    {"lost4", "192.0.2.77:5000"},   /* on the link, and nobody knows where */
    {"gone4", "198.18.66.1:5000"},  /* unreachable */
    {"stranger4", "198.18.0.20:5999"},
    {"p6", "[2001:db8:f::20]:5000"},
    {"last6", "[2001:db8:f::20]:5002"},
    {"far6", "[2001:db8:e::9]:5001"},
    {"lost6", "[2001:db8::77]:5000"},
    {"stranger6", "[2001:db8:f::20]:5999"},
    {NULL, NULL},
};

const struct rig_allocation rig_allocations[] = {
    {"a4", "s4", RIG_V4, 0, false},
    {"b4", "s4", RIG_V4, 0, false},
    {"l4", "s4", RIG_V4, 100000, false},
    {"d4", "s4", RIG_V4, 0, false},
    {"e4", "s4", RIG_BEHIND_NAT, 0, false},
    {"f4", "s4", RIG_BEHIND_NAT, 0, false},
    {"x4", "s4", RIG_V6, 0, false},
    {"o4", "s4", RIG_V4, 0, true},
    {"g4", "s4", RIG_V4, 0, false},
    {"a6", "s6", RIG_V6, 0, false},
    {"b6", "s6", RIG_V6, 0, false},
    {"l6", "s6", RIG_V6, 100000, false},
    {NULL, NULL, 0, 0, false},
};

const struct rig_channel rig_channels[] = {
    {"a4", "p4", 0x4000, RIG_LIVES},           {"a4", "last4", 0x4FFF, RIG_LIVES},
    {"a4", "over4", 0x4001, RIG_CHANNEL_OVER}, {"a4", "barred4", 0x4002, RIG_PERMISSION_OVER},
    {"a4", "far4", 0x4003, RIG_LIVES},         {"a4", "away4", 0x4004, RIG_LIVES},
    {"a4", "lost4", 0x4005, RIG_LIVES},        {"a4", "gone4", 0x4006, RIG_LIVES},
    {"a4", "own4", 0x4007, RIG_LIVES},         {"a4", "b4.told", 0x4008, RIG_LIVES},
    {"a4", "d4.told", 0x4009, RIG_LIVES}, /* who has no channel back */
    {"a4", "l4.told", 0x400A, RIG_LIVES},      {"b4", "a4.told", 0x4100, RIG_LIVES},
    {"l4", "p4", 0x4200, RIG_LIVES},           {"l4", "a4.told", 0x4201, RIG_LIVES},
    {"e4", "f4.told", 0x4300, RIG_LIVES},      {"e4", "p4", 0x4301, RIG_LIVES},
    {"f4", "e4.told", 0x4400, RIG_LIVES},      {"x4", "p6", 0x4500, RIG_LIVES},
    {"o4", "p4", 0x4600, RIG_LIVES},           {"g4", "p4", 0x4700, RIG_LIVES},
    {"a6", "p6", 0x4000, RIG_LIVES},           {"a6", "last6", 0x4FFF, RIG_LIVES},
    {"a6", "far6", 0x4003, RIG_LIVES},         {"a6", "lost6", 0x4005, RIG_LIVES},
    {"a6", "b6.told", 0x4008, RIG_LIVES},      {"b6", "a6.told", 0x4100, RIG_LIVES},
    {"l6", "p6", 0x4200, RIG_LIVES},           {NULL, NULL, 0, RIG_LIVES},
};
