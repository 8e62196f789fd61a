// Package deploy holds the tests of what deploys Ringcast. It is a module of its own, since
// Helm and the types of Kubernetes are hundreds of packages that the program does not need.
//
//   - The chart is rendered by Helm's own engine, with nothing of a cluster. Every object is
//     decoded strictly into its type, and what has to fit together is compared: the program
//     itself reads the configuration that was rendered, with the files where the pod would
//     have them mounted.
//   - The image's file system is made as the Dockerfile says, and run by what a container
//     engine would use: mounts, a changed root, a user, no capabilities.
//   - The services of the compose file are run as processes, each on a network of its own.
//   - The unit is verified by systemd, the runbook held to alerts, metrics and settings.
//
// What needs root, Linux or systemd and does not find it says NOT TESTED on standard error.
package deploy
