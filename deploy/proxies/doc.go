// Package proxies holds the configuration of the proxies that stand in front of a
// gateway, for users to copy: nginx.conf, haproxy.cfg and Caddyfile.
//
// Its tests run these very files with the programs of the distribution, and the real
// gateway behind them. What they change is what differs from machine to machine (ports,
// files, how many may be open), HTTP/2 towards the gateway, and times for which a test
// would have to wait; a change fails when the file does not have what it changes. The programs
// are what .ci/install-tools installs; without them the tests fail. Clients, proxies and
// gateways have addresses of their own in 127.0.0.0/8, all of which Linux has.
package proxies
