/* viaduct-load signal: the command. */
#ifndef VIADUCT_BENCH_LOAD_SIGNAL_H
#define VIADUCT_BENCH_LOAD_SIGNAL_H

/* argv[0] is the command's name. Returns the exit status, as main.c has them. */
int load_signal_main(int argc, char **argv);

#endif
