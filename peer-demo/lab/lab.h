/* `viaduct lab`: a laboratory of NATs in network namespaces. */
#ifndef VIADUCT_PEER_DEMO_LAB_LAB_H
#define VIADUCT_PEER_DEMO_LAB_LAB_H

/* argv[0] is "lab". The exit status: 0; 1 (failed, or a NAT is not what it is called); 2 (wrong
 * usage); of `exec` and `shell`, the program's own. */
int lab_main(int argc, char **argv);

#endif
