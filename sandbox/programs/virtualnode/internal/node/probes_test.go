package node

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"confidential.summarizer.dev/sandbox/programs/virtualnode/internal/arm"
)

// server is a group's web server whose health a test sets.
type server struct {
	*httptest.Server
	status int
	port   int32
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{status: http.StatusOK}
	s.Server = httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) {
		writer.WriteHeader(s.status)
	}))
	t.Cleanup(s.Close)
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	number, _ := strconv.ParseInt(port, 10, 32)
	s.port = int32(number)
	return s
}

// local is a running group whose address is this machine.
func local() *arm.Group {
	group := groupWith(view("Running", 0, ""))
	group.Properties.IPAddress.IP = "127.0.0.1"
	return group
}

func httpProbe(port int32) *corev1.Probe {
	return &corev1.Probe{
		PeriodSeconds: 10, FailureThreshold: 2, SuccessThreshold: 1, TimeoutSeconds: 5,
		ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(port)}},
	}
}

func TestReadinessFollowsTheProbe(t *testing.T) {
	web := newServer(t)
	pod := aPod(app(func(c *corev1.Container) { c.ReadinessProbe = httpProbe(web.port) }))
	var p prober
	steps := []struct {
		after  time.Duration
		status int
		ready  bool
	}{
		{0, http.StatusServiceUnavailable, false},
		{5 * time.Second, http.StatusOK, false}, // its turn comes after ten seconds
		{11 * time.Second, http.StatusOK, true},
		{22 * time.Second, http.StatusServiceUnavailable, true}, // one failure of two
		{33 * time.Second, http.StatusServiceUnavailable, false},
		{44 * time.Second, http.StatusOK, true},
	}
	for _, step := range steps {
		web.status = step.status
		if got := p.run(context.Background(), pod, local(), now.Add(step.after))["app"]; got.Ready != step.ready || !got.Started {
			t.Errorf("after %v: %+v", step.after, got)
		}
	}
}

func TestAStartupProbeComesBeforeReadiness(t *testing.T) {
	web := newServer(t)
	pod := aPod(app(func(c *corev1.Container) {
		c.StartupProbe, c.ReadinessProbe = httpProbe(web.port), httpProbe(web.port)
		c.ReadinessProbe.HTTPGet = nil
		c.ReadinessProbe.TCPSocket = &corev1.TCPSocketAction{Port: intstr.FromInt32(web.port)}
	}))
	var p prober
	web.status = http.StatusServiceUnavailable
	if got := p.run(context.Background(), pod, local(), now)["app"]; got.Started || got.Ready {
		t.Errorf("%+v", got)
	}
	web.status = http.StatusOK
	if got := p.run(context.Background(), pod, local(), now.Add(11*time.Second))["app"]; !got.Started || got.Ready {
		t.Errorf("%+v", got)
	}
	if got := p.run(context.Background(), pod, local(), now.Add(12*time.Second))["app"]; !got.Ready {
		t.Errorf("%+v", got)
	}
}

func TestANewLifeOfAContainerHasToProveItselfAgain(t *testing.T) {
	web := newServer(t)
	pod := aPod(app(func(c *corev1.Container) { c.ReadinessProbe = httpProbe(web.port) }))
	var p prober
	p.run(context.Background(), pod, local(), now)
	web.status = http.StatusServiceUnavailable
	restarted := local()
	restarted.Properties.Containers[0].Properties.InstanceView.CurrentState.StartTime = &now
	if got := p.run(context.Background(), pod, restarted, now.Add(time.Second))["app"]; got.Ready {
		t.Errorf("%+v", got)
	}
}

func TestNothingIsProbedThatDoesNotRun(t *testing.T) {
	pod := aPod(app(func(c *corev1.Container) { c.ReadinessProbe = httpProbe(1) }))
	var p prober
	got, probed := p.run(context.Background(), pod, groupWith(view("Waiting", 0, "")), now)["app"]
	if !probed || got.Ready {
		t.Errorf("%v %+v", probed, got)
	}
}

func TestExecProbesAreLeftToTheGroup(t *testing.T) {
	pod := aPod(app(func(c *corev1.Container) {
		c.ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"/ok"}}}}
	}))
	var p prober
	if got := p.run(context.Background(), pod, local(), now); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}
