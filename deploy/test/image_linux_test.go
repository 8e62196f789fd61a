package deploy_test

import (
	"bufio"
	"crypto/x509"
	"debug/elf"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// instruction is one of a Dockerfile.
type instruction struct{ name, args string }

// readDockerfile returns the instructions of the last stage, and all of them.
func readDockerfile(t *testing.T) (last, all []instruction) {
	t.Helper()
	text, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, args, _ := strings.Cut(line, " ")
		all = append(all, instruction{name, args})
		if name == "FROM" {
			last = nil
		}
		last = append(last, instruction{name, args})
	}
	return last, all
}

// arguments returns those of the one instruction of this name.
func arguments(t *testing.T, of []instruction, name string) string {
	t.Helper()
	var found []string
	for _, i := range of {
		if i.name == name {
			found = append(found, i.args)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d instructions %s", len(found), name)
	}
	return found[0]
}

// makeImage makes the file system of the image's last stage in a folder, without an engine:
// the command that builds the binary is the Dockerfile's, and the certificates are this
// machine's.
func makeImage(t *testing.T) string {
	t.Helper()
	last, all := readDockerfile(t)
	if from := arguments(t, last, "FROM"); from != "scratch" {
		t.Fatalf("the image is made from %s", from)
	}
	out := t.TempDir()
	i := slices.IndexFunc(all, func(i instruction) bool { return i.name == "RUN" && strings.Contains(i.args, "go build") })
	if i < 0 {
		t.Fatal("nothing builds the binary")
	}
	cmd := exec.Command("sh", "-ec", strings.ReplaceAll(all[i].args, "/out/", out+"/"))
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "VERSION=tested", "COMMIT=none", "GOFLAGS=-buildvcs=false")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", all[i].args, err, text)
	}
	image := t.TempDir()
	for _, i := range last {
		if i.name == "COPY" {
			fields := strings.Fields(i.args)
			from, to := fields[len(fields)-2], filepath.Join(image, fields[len(fields)-1])
			copyInto(t, strings.Replace(from, "/out/", out+"/", 1), to)
		}
	}
	return image
}

// copyInto copies a file, or makes a folder for what is none.
func copyInto(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if filepath.Base(from) == "data" {
		if err := os.Mkdir(to, 0o777); err != nil {
			t.Fatal(err)
		}
		return
	}
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o755); err != nil {
		t.Fatal(err)
	}
}

// The image has the program, certificates and a folder for data, and the program needs
// nothing else: no loader, no library.
func TestImage_Static(t *testing.T) {
	image := makeImage(t)
	binary, err := elf.Open(filepath.Join(image, "ringcast"))
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	libraries, err := binary.ImportedLibraries()
	if err != nil || len(libraries) > 0 {
		t.Errorf("it needs %v: %v", libraries, err)
	}
	for _, p := range binary.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("it needs a loader")
		}
	}
	out, err := exec.Command(filepath.Join(image, "ringcast"), "version").Output()
	if err != nil || !strings.Contains(string(out), "tested") {
		t.Errorf("its version is %s: %v", out, err)
	}
	text, err := os.ReadFile(filepath.Join(image, "etc/ssl/certs/ca-certificates.crt"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("no certificates")
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		t.Error(err)
	}
}

// The image runs: as its user, without capabilities, on a root that can only be read, with
// what it writes in /data. SIGTERM ends it with status 0.
func TestImage_Runs(t *testing.T) {
	image := makeImage(t)
	last, _ := readDockerfile(t)
	user, group, _ := strings.Cut(arguments(t, last, "USER"), ":")
	uid, gid := number(t, user), number(t, group)
	if uid == 0 || gid == 0 || arguments(t, last, "VOLUME") != "/data" {
		t.Fatalf("it runs as %d:%d", uid, gid)
	}
	args := slices.Concat(words(t, arguments(t, last, "ENTRYPOINT")), words(t, arguments(t, last, "CMD")),
		[]string{"--listen=127.0.0.1:0", "--nats-listen=127.0.0.1:-1", "--drain-time=1s", "--shutdown-timeout=1s"})
	cmd := inImage(t, image, uid, gid, args)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		if os.Getuid() != 0 {
			fmt.Fprintf(os.Stderr, "NOT TESTED: the image was not run as its user with a read-only root: run as root, or allow user namespaces (%v)\n", err)
			t.SkipNow()
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // fails where it has ended
		_ = cmd.Wait()
	})
	url := awaitReady(t, stderr)
	checkProcess(t, cmd.Process.Pid, uid)
	res, err := http.Post(url+"v1/publish/events.a", "", strings.NewReader("kept"))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body) // of an answer that is looked at below
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK || !strings.Contains(string(body), `"id":"1-`) {
		t.Errorf("publish: %d %s", res.StatusCode, body)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(stderr) // ends with the process
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, rest)
	}
	for _, file := range []string{"data/ring.db", "data/nats"} {
		if _, err := os.Stat(filepath.Join(image, file)); err != nil {
			t.Error(err)
		}
	}
}

// checkProcess looks at the process as the kernel has it.
func checkProcess(t *testing.T, pid, uid int) {
	t.Helper()
	proc := fmt.Sprintf("/proc/%d/", pid)
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() != 0 {
		uid = os.Getuid() // what it is in the namespace around
	}
	for _, want := range []string{fmt.Sprintf("Uid:\t%d\t%[1]d", uid), "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("%q is not in %s", want, status)
		}
	}
	mounts, err := os.ReadFile(proc + "mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	// The mounts that it can see: the mount point is the fifth field, its options are the sixth.
	options := map[string]string{}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 5 {
			options[f[4]] = f[5]
		}
	}
	if !strings.HasPrefix(options["/"], "ro") || !strings.HasPrefix(options["/data"], "rw") || len(options) != 2 {
		t.Errorf("its mounts: %v", options)
	}
}

// awaitReady reads the log until the line that says where the page is.
func awaitReady(t *testing.T, log io.Reader) (url string) {
	t.Helper()
	address := regexp.MustCompile(`ringcast is ready.* url=(\S+)`)
	found := make(chan string, 1)
	go func() {
		var lines []string
		for s := bufio.NewScanner(log); s.Scan(); {
			lines = append(lines, s.Text())
			if m := address.FindStringSubmatch(s.Text()); m != nil {
				found <- m[1]
				return
			}
		}
		found <- "\n" + strings.Join(lines, "\n")
	}()
	select {
	case url = <-found:
	case <-time.After(patience):
		t.Fatal("it is not ready")
	}
	if strings.HasPrefix(url, "\n") {
		t.Fatalf("it is not ready:%s", url)
	}
	return url
}

// patience is how long anything may take on a busy machine.
const patience = time.Minute

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// words reads the JSON form of ENTRYPOINT and CMD; the other one needs a shell.
func words(t *testing.T, text string) (list []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return list
}

// imageEnv has this test binary enter an image instead of testing.
const imageEnv = "RINGCAST_TEST_IMAGE"

// Capabilities, of linux/capability.h: to read the folders on the way, and to make what the
// process will see. They are gone when the program is.
const (
	capDACOverride = 1
	capSysChroot   = 18
	capSysAdmin    = 21
)

// inImage returns the command that runs args in the image as that user. Somebody who is not
// root is that user in a namespace of users.
func inImage(t *testing.T, image string, uid, gid int, args []string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = []string{imageEnv + "=" + image}
	attr := &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNS,
		AmbientCaps: []uintptr{capDACOverride, capSysChroot, capSysAdmin},
		Pdeathsig:   syscall.SIGKILL,
	}
	if os.Getuid() == 0 {
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(filepath.Join(image, "data"), uid, gid); err != nil {
			t.Fatal(err)
		}
	} else {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: os.Getgid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
	return cmd
}

func init() {
	if image := os.Getenv(imageEnv); image != "" {
		fmt.Fprintln(os.Stderr, "enter image:", enterImage(image, os.Args[1:]))
		os.Exit(125)
	}
}

// enterImage makes the image the root, readable only but for /data, gives up every
// capability and becomes the program. It returns when that fails.
func enterImage(image string, args []string) error {
	runtime.LockOSThread() // what follows is the thread's own
	data := filepath.Join(image, "data")
	for _, m := range []struct {
		from, to string
		flags    uintptr
	}{
		{"", "/", syscall.MS_REC | syscall.MS_PRIVATE},
		{image, image, syscall.MS_BIND},
		{data, data, syscall.MS_BIND},
		{"", image, syscall.MS_BIND | syscall.MS_REMOUNT | syscall.MS_RDONLY | syscall.MS_NOSUID | syscall.MS_NODEV},
	} {
		if err := syscall.Mount(m.from, m.to, "", m.flags, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.to, err)
		}
	}
	if err := syscall.Chroot(image); err != nil {
		return fmt.Errorf("change root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	const ( // of linux/prctl.h
		setNoNewPrivs = 38
		capAmbient    = 47
		clearAll      = 4
	)
	for _, call := range [][2]uintptr{{capAmbient, clearAll}, {setNoNewPrivs, 1}} {
		if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, call[0], call[1], 0, 0, 0, 0); errno != 0 {
			return fmt.Errorf("prctl %d: %w", call[0], errno)
		}
	}
	return syscall.Exec(args[0], args, nil)
}
