package node

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"confidential.summarizer.dev/sandbox/programs/virtualnode/internal/arm"
)

const denial = "Error: Failed to start container app: container creation denied due to policy: policyDecision< eyJ9 >policyDecision"

var (
	now     = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	earlier = now.Add(-time.Minute)
)

// view is an instance view in one state, with events that are a second apart.
func view(state string, exitCode int32, detail string, events ...arm.Event) *arm.ContainerView {
	for i := range events {
		events[i].LastTimestamp = earlier.Add(time.Duration(i) * time.Second)
	}
	result := &arm.ContainerView{CurrentState: &arm.ContainerState{State: state, ExitCode: exitCode, DetailStatus: detail}, Events: events}
	if state != arm.StateWaiting {
		result.CurrentState.StartTime = &earlier
	}
	return result
}

func failed(message string) arm.Event {
	return arm.Event{Name: "Failed", Type: "Warning", Message: message}
}

func started() arm.Event { return arm.Event{Name: "Started", Type: "Normal"} }

// crashed adds an earlier life that ended.
func crashed(exitCode int32, v *arm.ContainerView) *arm.ContainerView {
	v.RestartCount = 1
	v.PreviousState = &arm.ContainerState{State: arm.StateTerminated, ExitCode: exitCode, StartTime: &earlier, FinishTime: &now}
	return v
}

func groupWith(v *arm.ContainerView) *arm.Group {
	return &arm.Group{ID: "/group", Properties: arm.GroupProperties{
		IPAddress:  &arm.IPAddress{IP: "127.77.1.2"},
		Containers: []arm.Container{{Name: "app", Properties: arm.ContainerProperties{InstanceView: v}}},
	}}
}

func conditionOf(status corev1.PodStatus, kind corev1.PodConditionType) corev1.PodCondition {
	for _, condition := range status.Conditions {
		if condition.Type == kind {
			return condition
		}
	}
	return corev1.PodCondition{}
}

func TestContainerStatesAreThoseOfAKubelet(t *testing.T) {
	always, never, onFailure := corev1.RestartPolicyAlways, corev1.RestartPolicyNever, corev1.RestartPolicyOnFailure
	cases := []struct {
		name    string
		policy  corev1.RestartPolicy
		view    *arm.ContainerView
		phase   corev1.PodPhase
		waiting string
		exit    int32
		ready   bool
	}{
		{"nothing known yet", always, nil, corev1.PodPending, "ContainerCreating", -1, false},
		{"waiting", always, view("Waiting", 0, ""), corev1.PodPending, "ContainerCreating", -1, false},
		{"running", always, view("Running", 0, ""), corev1.PodRunning, "", -1, true},
		{"denied", always, view("Waiting", 0, "CrashLoopBackOff", failed(denial)), corev1.PodPending, "CreateContainerError", -1, false},
		{"denied, never restarted", never, view("Waiting", 0, "", failed(denial)), corev1.PodPending, "CreateContainerError", -1, false},
		{"image missing", always, view("Waiting", 0, "", failed("Failed to pull image x")), corev1.PodPending, "ErrImagePull", -1, false},
		{"image still missing", always, view("Waiting", 0, "CrashLoopBackOff", failed("Failed to pull image x")), corev1.PodPending, "ImagePullBackOff", -1, false},
		{"denied once, then crashing", always, crashed(1, view("Waiting", 0, "CrashLoopBackOff", failed(denial), started())), corev1.PodRunning, "CrashLoopBackOff", -1, false},
		{"crashing", always, crashed(1, view("Waiting", 0, "CrashLoopBackOff")), corev1.PodRunning, "CrashLoopBackOff", -1, false},
		{"ended well", never, view("Terminated", 0, "Completed"), corev1.PodSucceeded, "", 0, false},
		{"ended badly", never, view("Terminated", 3, "Error"), corev1.PodFailed, "", 3, false},
		{"ended badly, to be restarted", onFailure, view("Terminated", 3, "Error"), corev1.PodRunning, "", 3, false},
		{"ended well, to be restarted", always, view("Terminated", 0, "Completed"), corev1.PodRunning, "", 0, false},
		{"ended well, done", onFailure, view("Terminated", 0, "Completed"), corev1.PodSucceeded, "", 0, false},
	}
	for _, test := range cases {
		pod := aPod(func(pod *corev1.Pod) { pod.Spec.RestartPolicy = test.policy })
		status := Status(pod, corev1.PodStatus{}, groupWith(test.view), nil, now)
		container := status.ContainerStatuses[0]
		waiting, exit := "", int32(-1)
		if container.State.Waiting != nil {
			waiting = container.State.Waiting.Reason
		}
		if container.State.Terminated != nil {
			exit = container.State.Terminated.ExitCode
		}
		if status.Phase != test.phase || waiting != test.waiting || exit != test.exit || container.Ready != test.ready {
			t.Errorf("%s: phase %s, waiting %q, exit %d, ready %v", test.name, status.Phase, waiting, exit, container.Ready)
		}
		if ready := conditionOf(status, corev1.PodReady).Status == corev1.ConditionTrue; ready != test.ready {
			t.Errorf("%s: pod ready is %v", test.name, ready)
		}
	}
}

func TestADenialReachesThePodWordForWord(t *testing.T) {
	status := Status(aPod(), corev1.PodStatus{}, groupWith(view("Waiting", 0, "", failed(denial))), nil, now)
	if got := status.ContainerStatuses[0].State.Waiting.Message; got != denial {
		t.Errorf("%q", got)
	}
}

func TestADenialOfTheGroupReachesEveryContainer(t *testing.T) {
	group := groupWith(view("Waiting", 0, ""))
	group.Properties.InstanceView = &arm.GroupView{State: "Pending", Events: []arm.Event{failed(denial)}}
	status := Status(aPod(), corev1.PodStatus{}, group, nil, now)
	if waiting := status.ContainerStatuses[0].State.Waiting; waiting.Reason != "CreateContainerError" || waiting.Message != denial {
		t.Errorf("%+v", waiting)
	}
}

func TestTheGroupsAddressAndARestartShow(t *testing.T) {
	status := Status(aPod(), corev1.PodStatus{}, groupWith(crashed(139, view("Running", 0, ""))), nil, now)
	container := status.ContainerStatuses[0]
	if status.PodIP != "127.77.1.2" || status.PodIPs[0].IP != status.PodIP || status.HostIP != "127.0.0.1" {
		t.Errorf("%+v", status)
	}
	if container.RestartCount != 1 || container.LastTerminationState.Terminated.ExitCode != 139 {
		t.Errorf("%+v", container)
	}
	if container.ContainerID == "" || container.ImageID != "party1.azurecr.io/app@sha256:00" {
		t.Errorf("%q %q", container.ContainerID, container.ImageID)
	}
}

func TestAProbeThatHasNotPassedKeepsThePodFromReady(t *testing.T) {
	readiness := Readiness{"app": {Started: true, Ready: false}}
	status := Status(aPod(), corev1.PodStatus{}, groupWith(view("Running", 0, "")), readiness, now)
	if status.ContainerStatuses[0].Ready || !*status.ContainerStatuses[0].Started {
		t.Errorf("%+v", status.ContainerStatuses[0])
	}
	if ready := conditionOf(status, corev1.PodReady); ready.Status != corev1.ConditionFalse || ready.Reason != reasonNotReady {
		t.Errorf("%+v", ready)
	}
}

func TestConditionsOfOthersStayAndOpenTheGate(t *testing.T) {
	pod := aPod(func(pod *corev1.Pod) {
		pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/lb"}}
	})
	running := groupWith(view("Running", 0, ""))
	closed := Status(pod, corev1.PodStatus{}, running, nil, now)
	if conditionOf(closed, corev1.PodReady).Reason != "ReadinessGatesNotReady" {
		t.Errorf("%+v", closed.Conditions)
	}
	closed.Conditions = append(closed.Conditions, corev1.PodCondition{Type: "example.com/lb", Status: corev1.ConditionTrue})
	open := Status(pod, closed, running, nil, now)
	if conditionOf(open, corev1.PodReady).Status != corev1.ConditionTrue || conditionOf(open, "example.com/lb").Status != corev1.ConditionTrue {
		t.Errorf("%+v", open.Conditions)
	}
}

func TestAStatusThatDoesNotChangeIsTheSame(t *testing.T) {
	group := groupWith(view("Running", 0, ""))
	first := Status(aPod(), corev1.PodStatus{}, group, nil, now)
	second := Status(aPod(), first, group, nil, now.Add(time.Hour))
	if a, b := conditionOf(first, corev1.PodReady), conditionOf(second, corev1.PodReady); a != b {
		t.Errorf("%+v, then %+v", a, b)
	}
	if !first.StartTime.Equal(second.StartTime) {
		t.Errorf("start time moved from %v to %v", first.StartTime, second.StartTime)
	}
}

func TestContainersWaitForInitContainers(t *testing.T) {
	pod := aPod(func(pod *corev1.Pod) { pod.Spec.InitContainers = []corev1.Container{{Name: "first"}} })
	group := groupWith(view("Waiting", 0, ""))
	group.Properties.InitContainers = []arm.Container{{Name: "first", Properties: arm.ContainerProperties{InstanceView: view("Running", 0, "")}}}
	status := Status(pod, corev1.PodStatus{}, group, nil, now)
	if status.Phase != corev1.PodPending || status.ContainerStatuses[0].State.Waiting.Reason != reasonInitializing {
		t.Errorf("%+v", status)
	}
	group.Properties.InitContainers[0].Properties.InstanceView = view("Terminated", 0, "Completed")
	status = Status(pod, corev1.PodStatus{}, group, nil, now)
	if !status.InitContainerStatuses[0].Ready || conditionOf(status, corev1.PodInitialized).Status != corev1.ConditionTrue {
		t.Errorf("%+v", status)
	}
}

func TestAGroupThatCannotBeMadeSaysWhy(t *testing.T) {
	cases := map[string]struct {
		failure error
		reason  string
	}{
		"capacity": {errors.New("not available (ServiceUnavailable, HTTP 409)"), "ContainerCreating"},
		"image":    {&arm.Error{Status: 400, Code: "InaccessibleImage", Message: "not accessible"}, "ErrImagePull"},
	}
	for name, test := range cases {
		waiting := Waiting(aPod(), corev1.PodStatus{}, test.failure, now).ContainerStatuses[0].State.Waiting
		if waiting.Reason != test.reason || waiting.Message != test.failure.Error() {
			t.Errorf("%s: %+v", name, waiting)
		}
	}
}

func TestALostGroupFailsAPodThatIsNotRestarted(t *testing.T) {
	before := Status(aPod(), corev1.PodStatus{}, groupWith(view("Running", 0, "")), nil, now)
	status := Lost(aPod(), before, now)
	if status.Phase != corev1.PodFailed || status.ContainerStatuses[0].State.Terminated.ExitCode != 137 {
		t.Errorf("%+v", status)
	}
	if conditionOf(status, corev1.PodReady).Status != corev1.ConditionFalse {
		t.Errorf("%+v", status.Conditions)
	}
}

func TestEachEventIsToldOnce(t *testing.T) {
	group := groupWith(view("Waiting", 0, "", failed(denial), failed(denial), started()))
	group.Properties.InstanceView = &arm.GroupView{Events: []arm.Event{{Name: "Pulling", Type: "Normal", Message: "m"}}}
	log := eventLog{}
	log.remember(&corev1.Event{
		InvolvedObject: corev1.ObjectReference{FieldPath: "spec.containers{app}"}, Type: "Normal", Reason: "Started",
	})
	want := []podEvent{
		{"", "Normal", "Pulling", "m"},
		{"spec.containers{app}", "Warning", "Failed", denial},
	}
	got := log.fresh(group)
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("%+v", got)
	}
	if again := log.fresh(group); len(again) != 0 {
		t.Errorf("told again: %+v", again)
	}
}

func TestTimesHaveTheResolutionOfKubernetes(t *testing.T) {
	moment := now.Add(123456 * time.Microsecond)
	if got := timeOf(&moment); !got.Equal(&metav1.Time{Time: now}) {
		t.Errorf("%v", got)
	}
}
