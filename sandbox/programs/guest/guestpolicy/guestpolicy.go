//go:build linux && rego

// Command guestpolicy judges for a group's guest with hcsshim v0.15.0's own enforcer, the type that the guest's agent
// uses, and the framework 0.5.0 (API 0.12.0) that is embedded in it.
//
// The first line of standard input is the policy in base64, each further one a request: {"point": …, "input": {…}} with
// the framework's own names. Each line is answered by one of JSON; the text of a refusal is the engine's.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/Microsoft/hcsshim/pkg/securitypolicy"
	oci "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"
)

// longestDenial is what the guest's answer may hold of a decision, in bytes.
const longestDenial = 3072

type identity struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type mount struct {
	Destination string   `json:"destination"`
	Source      string   `json:"source"`
	Type        string   `json:"type"`
	Options     []string `json:"options"`
}

type request struct {
	Point string `json:"point"`
	Input struct {
		Target               string                `json:"target"`
		UnmountTarget        string                `json:"unmountTarget"`
		DeviceHash           string                `json:"deviceHash"`
		Encrypted            bool                  `json:"encrypted"`
		EnsureFilesystem     bool                  `json:"ensureFilesystem"`
		Filesystem           string                `json:"filesystem"`
		SandboxID            string                `json:"sandboxID"`
		ContainerID          string                `json:"containerID"`
		LayerPaths           []string              `json:"layerPaths"`
		ArgList              []string              `json:"argList"`
		EnvList              []string              `json:"envList"`
		WorkingDir           string                `json:"workingDir"`
		Mounts               []mount               `json:"mounts"`
		Devices              []string              `json:"devices"`
		Privileged           bool                  `json:"privileged"`
		NoNewPrivileges      bool                  `json:"noNewPrivileges"`
		User                 identity              `json:"user"`
		Groups               []identity            `json:"groups"`
		Umask                string                `json:"umask"`
		Capabilities         oci.LinuxCapabilities `json:"capabilities"`
		SeccompProfileSHA256 string                `json:"seccompProfileSHA256"`
		IsSandboxContainer   bool                  `json:"isSandboxContainer"`
		Signal               int                   `json:"signal"`
		IsInitProcess        bool                  `json:"isInitProcess"`
	} `json:"input"`
}

// answer is what the engine says; what to keep stands only in the answer to a process that may start.
type answer struct {
	Allowed      bool                `json:"allowed"`
	Error        string              `json:"error,omitempty"`
	Env          []string            `json:"env"`
	Capabilities map[string][]string `json:"capabilities"`
	AllowStdio   bool                `json:"allow_stdio"`
}

func open(policy string) (engine securitypolicy.SecurityPolicyEnforcer, err error) {
	// The engine follows a nil pointer on some texts that are no policy.
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("no policy: %v", cause)
		}
	}()
	return securitypolicy.CreateSecurityPolicyEnforcer("rego", policy,
		securitypolicy.DefaultCRIMounts(), securitypolicy.DefaultCRIPrivilegedMounts(), longestDenial)
}

func identities(given []identity) []securitypolicy.IDName {
	names := []securitypolicy.IDName{}
	for _, one := range given {
		names = append(names, securitypolicy.IDName(one))
	}
	return names
}

// sets has all five, empty ones too, which the library's own JSON leaves out.
func sets(given *oci.LinuxCapabilities) map[string][]string {
	if given == nil {
		return nil
	}
	all := map[string][]string{
		"bounding": given.Bounding, "effective": given.Effective, "inheritable": given.Inheritable,
		"permitted": given.Permitted, "ambient": given.Ambient,
	}
	for name, names := range all {
		all[name] = append([]string{}, names...)
	}
	return all
}

func ask(engine securitypolicy.SecurityPolicyEnforcer, asked request) answer {
	var found answer
	err := put(context.Background(), engine, asked, &found)
	if err != nil {
		return answer{Error: err.Error()}
	}
	found.Allowed = true
	return found
}

func put(ctx context.Context, engine securitypolicy.SecurityPolicyEnforcer, asked request, found *answer) (err error) {
	in := asked.Input
	user := securitypolicy.IDName(in.User)
	var kept *oci.LinuxCapabilities
	defer func() { found.Capabilities = sets(kept) }()
	switch asked.Point {
	case "mount_device":
		return engine.EnforceDeviceMountPolicy(ctx, in.Target, in.DeviceHash)
	case "rw_mount_device":
		return engine.EnforceRWDeviceMountPolicy(ctx, in.Target, in.Encrypted, in.EnsureFilesystem, in.Filesystem)
	case "unmount_device":
		return engine.EnforceDeviceUnmountPolicy(ctx, in.UnmountTarget)
	case "mount_overlay":
		return engine.EnforceOverlayMountPolicy(ctx, in.ContainerID, in.LayerPaths, in.Target)
	case "unmount_overlay":
		return engine.EnforceOverlayUnmountPolicy(ctx, in.UnmountTarget)
	case "scratch_mount":
		return engine.EnforceScratchMountPolicy(ctx, in.Target, in.Encrypted)
	case "scratch_unmount":
		return engine.EnforceScratchUnmountPolicy(ctx, in.UnmountTarget)
	case "create_container":
		mounts := []oci.Mount{}
		for _, one := range in.Mounts {
			mounts = append(mounts, oci.Mount{
				Destination: one.Destination, Source: one.Source, Type: one.Type, Options: one.Options,
			})
		}
		devices := []oci.LinuxDevice{}
		for _, path := range in.Devices {
			devices = append(devices, oci.LinuxDevice{Path: path})
		}
		found.Env, kept, found.AllowStdio, err = engine.EnforceCreateContainerPolicyV2(
			ctx, in.ContainerID, in.ArgList, in.EnvList, in.WorkingDir, mounts, user,
			&securitypolicy.CreateContainerOptions{
				SandboxID: in.SandboxID, Privileged: &in.Privileged, NoNewPrivileges: &in.NoNewPrivileges,
				Groups: identities(in.Groups), Umask: in.Umask, Capabilities: &in.Capabilities,
				SeccompProfileSHA256: in.SeccompProfileSHA256, IsSandboxContainer: in.IsSandboxContainer,
				LinuxDevices: devices,
			})
		return err
	case "exec_in_container":
		found.Env, kept, found.AllowStdio, err = engine.EnforceExecInContainerPolicyV2(
			ctx, in.ContainerID, in.ArgList, in.EnvList, in.WorkingDir, user,
			&securitypolicy.ExecOptions{
				NoNewPrivileges: &in.NoNewPrivileges, Groups: identities(in.Groups), Umask: in.Umask,
				Capabilities: &in.Capabilities,
			})
		return err
	case "exec_external":
		found.Env, found.AllowStdio, err = engine.EnforceExecExternalProcessPolicy(ctx, in.ArgList, in.EnvList, in.WorkingDir)
		return err
	case "signal_container_process":
		return engine.EnforceSignalContainerProcessPolicy(
			ctx, in.ContainerID, syscall.Signal(in.Signal), in.IsInitProcess, in.ArgList)
	case "shutdown_container":
		return engine.EnforceShutdownContainerPolicy(ctx, in.ContainerID)
	case "get_properties":
		return engine.EnforceGetPropertiesPolicy(ctx)
	case "dump_stacks":
		return engine.EnforceDumpStacksPolicy(ctx)
	case "runtime_logging":
		return engine.EnforceRuntimeLoggingPolicy(ctx)
	}
	return fmt.Errorf("this guest has no enforcement point %q", asked.Point)
}

func serve(input io.Reader, output io.Writer) error {
	lines, answers := bufio.NewReader(input), json.NewEncoder(output)
	policy, err := lines.ReadString('\n')
	if err != nil {
		return fmt.Errorf("reading the policy: %w", err)
	}
	engine, err := open(strings.TrimSpace(policy))
	if err != nil {
		return answers.Encode(answer{Error: err.Error()})
	}
	if err := answers.Encode(answer{Allowed: true}); err != nil {
		return err
	}
	for requests := json.NewDecoder(lines); ; {
		var asked request
		if err := requests.Decode(&asked); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading a request: %w", err)
		}
		if err := answers.Encode(ask(engine, asked)); err != nil {
			return err
		}
	}
}

func main() {
	logrus.SetOutput(io.Discard)
	answers := os.Stdout
	os.Stdout = os.Stderr // the engine prints there why a policy does not compile
	if err := serve(os.Stdin, answers); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
