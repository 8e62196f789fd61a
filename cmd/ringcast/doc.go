// Command ringcast is the resumable event broker: the server (serve, demo), a
// client for the shell (pub, sub), and a look into a ring file (ring).
//
// This package only wires: each command is one file that turns flags into the
// Options of the packages below, starts them in order and stops them in reverse.
// The configuration of serve and demo is package cmd/internal/config.
//
// What it promises, to scripts above all:
//   - Exit status 0 for success and for a shutdown by SIGINT or SIGTERM, 1 for a
//     failure at run time, 2 for an error of use.
//   - An error is one line on standard error. Standard output has nothing but
//     what was asked for.
//   - A second signal during a shutdown ends the process at once.
package main
