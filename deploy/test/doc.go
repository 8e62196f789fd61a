// Package deploy holds the tests of what deploys Ringcast. It is a module of its own, since
// Helm and the types of Kubernetes are hundreds of packages that the program does not need.
//
// The chart is rendered by Helm's own engine, with nothing of a cluster. Every object is
// decoded strictly into its type, and what has to fit together is compared: the program
// itself reads the configuration that was rendered, with the files where the pod would
// have them mounted.
package deploy
