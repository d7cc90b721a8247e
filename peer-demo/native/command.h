/* The subcommands of viaduct-peer, one file each. argv[0] is the subcommand's name. Each returns
 * the exit status: 0; 1 (what was asked for does not work); 2 (wrong usage). */
#ifndef VIADUCT_PEER_DEMO_NATIVE_COMMAND_H
#define VIADUCT_PEER_DEMO_NATIVE_COMMAND_H

int doctor_main(int argc, char **argv);
int nat_main(int argc, char **argv);

#endif
