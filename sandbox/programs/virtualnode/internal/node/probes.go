package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"confidential.summarizer.dev/sandbox/programs/virtualnode/internal/arm"
)

// prober runs the httpGet and tcp probes for start-up and readiness of one pod, as a kubelet does from outside. What
// has to run inside the group (exec), or needs a client of its own (grpc), counts as passed.
type prober struct {
	states map[string]*probeState
}

// probeState is how far the probes of one life of a container have come.
type probeState struct {
	life      time.Time
	started   bool
	ready     bool
	last      time.Time
	successes int32
	failures  int32
}

// run makes the probes that are due and returns what is known of each container that has any.
func (p *prober) run(ctx context.Context, pod *corev1.Pod, group *arm.Group, now time.Time) Readiness {
	readiness := Readiness{}
	if p.states == nil {
		p.states = map[string]*probeState{}
	}
	for i := range pod.Spec.Containers {
		container := &pod.Spec.Containers[i]
		if !isRemote(container.StartupProbe) && !isRemote(container.ReadinessProbe) {
			continue
		}
		state := &probeState{}
		if life, running := runningSince(group, container.Name); running {
			state = p.stateOf(container, life)
			p.advance(ctx, state, container, group.Properties.IPAddress.IP, now)
		} else {
			delete(p.states, container.Name)
		}
		readiness[container.Name] = struct{ Started, Ready bool }{state.started, state.ready}
	}
	return readiness
}

// stateOf finds the state of this life of the container, or begins one.
func (p *prober) stateOf(container *corev1.Container, life time.Time) *probeState {
	state := p.states[container.Name]
	if state == nil || !state.life.Equal(life) {
		state = &probeState{life: life, started: !isRemote(container.StartupProbe)}
		p.states[container.Name] = state
	}
	return state
}

// advance makes the probe whose turn it is: start-up until that has passed, readiness from then on.
func (p *prober) advance(ctx context.Context, state *probeState, container *corev1.Container, address string, now time.Time) {
	probe := container.ReadinessProbe
	if !state.started {
		probe = container.StartupProbe
	}
	if !isRemote(probe) {
		state.ready = state.started
		return
	}
	delay, period := seconds(probe.InitialDelaySeconds, 0), seconds(probe.PeriodSeconds, 10)
	if now.Before(state.life.Add(delay)) || (!state.last.IsZero() && now.Before(state.last.Add(period))) {
		return
	}
	state.last = now
	if err := attempt(ctx, probe, container, address); err != nil {
		state.successes, state.failures = 0, state.failures+1
		if state.started && state.failures >= max(probe.FailureThreshold, 1) {
			state.ready = false
		}
		return
	}
	state.successes, state.failures = state.successes+1, 0
	if state.successes < max(probe.SuccessThreshold, 1) {
		return
	}
	if !state.started {
		state.started, state.successes, state.last = true, 0, time.Time{}
		state.ready = !isRemote(container.ReadinessProbe)
		return
	}
	state.ready = true
}

// attempt makes one httpGet or tcp probe.
func attempt(ctx context.Context, probe *corev1.Probe, container *corev1.Container, address string) error {
	ctx, cancel := context.WithTimeout(ctx, seconds(probe.TimeoutSeconds, 1))
	defer cancel()
	if probe.TCPSocket != nil {
		target := net.JoinHostPort(address, strconv.Itoa(int(portNumber(probe.TCPSocket.Port, container))))
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", target)
		if err != nil {
			return err
		}
		return connection.Close()
	}
	target := net.JoinHostPort(address, strconv.Itoa(int(portNumber(probe.HTTPGet.Port, container))))
	scheme := strings.ToLower(string(probe.HTTPGet.Scheme))
	if scheme == "" {
		scheme = "http"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+target+"/"+strings.TrimPrefix(probe.HTTPGet.Path, "/"), nil)
	if err != nil {
		return err
	}
	for _, header := range probe.HTTPGet.HTTPHeaders {
		request.Header.Add(header.Name, header.Value)
	}
	request.Host = request.Header.Get("Host")
	response, err := probeClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 10<<10)) // what a kubelet reads of an answer
	if response.StatusCode < http.StatusOK || response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("HTTP %d", response.StatusCode)
	}
	return nil
}

// probeClient talks to the group's address directly, and like a kubelet trusts any certificate there.
var probeClient = &http.Client{
	Transport: &http.Transport{
		Proxy:             nil,
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func isRemote(probe *corev1.Probe) bool {
	return probe != nil && (probe.HTTPGet != nil || probe.TCPSocket != nil)
}

// runningSince tells when the container's present life began; it needs the group's address to be of use.
func runningSince(group *arm.Group, name string) (time.Time, bool) {
	container := find(group.Properties.Containers, name)
	address := group.Properties.IPAddress
	if container == nil || container.Properties.InstanceView == nil || address == nil || address.IP == "" {
		return time.Time{}, false
	}
	current := container.Properties.InstanceView.CurrentState
	if current == nil || current.State != arm.StateRunning || current.StartTime == nil {
		return time.Time{}, false
	}
	return *current.StartTime, true
}

// seconds is a number of seconds from a probe, where 0 stands for Kubernetes' default.
func seconds(value int32, otherwise int32) time.Duration {
	if value == 0 {
		value = otherwise
	}
	return time.Duration(value) * time.Second
}
