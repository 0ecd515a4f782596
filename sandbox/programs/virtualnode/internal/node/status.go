package node

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"confidential.summarizer.dev/sandbox/programs/virtualnode/internal/arm"
)

// Reasons that a kubelet gives for a container that does not run.
const (
	reasonCreating       = "ContainerCreating"
	reasonInitializing   = "PodInitializing"
	reasonCreateError    = "CreateContainerError"
	reasonPullError      = "ErrImagePull"
	reasonPullBackOff    = "ImagePullBackOff"
	reasonCrashLoop      = "CrashLoopBackOff"
	reasonCompleted      = "Completed"
	reasonError          = "Error"
	reasonNotReady       = "ContainersNotReady"
	reasonNotInitialized = "ContainersNotInitialized"
)

// hostAddress is where everything of the sandbox listens.
const hostAddress = "127.0.0.1"

// Readiness is what the node's own probes found, by container. A container without an entry is ready once it runs.
type Readiness map[string]struct{ Started, Ready bool }

// Status maps a group to its pod's status, as a kubelet would report it.
//
// `before` is the status so far: conditions of others and times of transitions are taken over from it.
func Status(pod *corev1.Pod, before corev1.PodStatus, group *arm.Group, readiness Readiness, now time.Time) corev1.PodStatus {
	status := *before.DeepCopy()
	status.Reason, status.Message = "", ""
	status.HostIP, status.HostIPs = hostAddress, []corev1.HostIP{{IP: hostAddress}}
	if address := group.Properties.IPAddress; address != nil && address.IP != "" {
		status.PodIP, status.PodIPs = address.IP, []corev1.PodIP{{IP: address.IP}}
	}
	if status.StartTime == nil {
		status.StartTime = &metav1.Time{Time: now.Truncate(time.Second)}
	}

	status.InitContainerStatuses = nil
	initialized := true
	for i := range pod.Spec.InitContainers {
		container := &pod.Spec.InitContainers[i]
		mapped := containerStatus(container, find(group.Properties.InitContainers, container.Name), group, reasonCreating)
		done := mapped.State.Terminated != nil && mapped.State.Terminated.ExitCode == 0
		mapped.Ready = done
		initialized = initialized && done
		status.InitContainerStatuses = append(status.InitContainerStatuses, mapped)
	}

	status.ContainerStatuses = nil
	ready := true
	for i := range pod.Spec.Containers {
		container := &pod.Spec.Containers[i]
		idle := reasonCreating
		if !initialized {
			idle = reasonInitializing
		}
		mapped := containerStatus(container, find(group.Properties.Containers, container.Name), group, idle)
		started := mapped.State.Running != nil
		mapped.Ready = started
		if probed, found := readiness[container.Name]; found {
			started, mapped.Ready = started && probed.Started, mapped.Ready && probed.Ready
		}
		mapped.Started = &started
		ready = ready && mapped.Ready
		status.ContainerStatuses = append(status.ContainerStatuses, mapped)
	}

	status.Phase = phase(pod.Spec.RestartPolicy, status.InitContainerStatuses, status.ContainerStatuses)
	finished := status.Phase == corev1.PodSucceeded || status.Phase == corev1.PodFailed
	setCondition(&status, corev1.PodScheduled, true, "", now)
	setCondition(&status, corev1.PodInitialized, initialized, reasonNotInitialized, now)
	notReady := reasonNotReady
	if finished {
		notReady = "PodCompleted"
	}
	setCondition(&status, corev1.ContainersReady, ready, notReady, now)
	gates, gateReason := gatesOpen(pod, &status)
	if ready {
		notReady = gateReason
	}
	setCondition(&status, corev1.PodReady, ready && gates, notReady, now)
	return status
}

// Waiting is the status of a pod whose group does not exist yet, or could not be made.
func Waiting(pod *corev1.Pod, before corev1.PodStatus, failure error, now time.Time) corev1.PodStatus {
	status := Status(pod, before, &arm.Group{}, nil, now)
	if failure == nil {
		return status
	}
	for i := range status.ContainerStatuses {
		if waiting := status.ContainerStatuses[i].State.Waiting; waiting != nil {
			waiting.Message = failure.Error()
			if isPullFailure(failure.Error()) {
				waiting.Reason = reasonPullError
			}
		}
	}
	return status
}

// Lost is the status of a pod that is not to be restarted and whose group is gone.
func Lost(pod *corev1.Pod, before corev1.PodStatus, now time.Time) corev1.PodStatus {
	status := *before.DeepCopy()
	status.Phase, status.Reason = corev1.PodFailed, "NotFound"
	status.Message = "the container group was deleted behind the node's back"
	for i := range status.ContainerStatuses {
		container := &status.ContainerStatuses[i]
		container.Ready, container.Started = false, new(bool)
		if container.State.Terminated == nil {
			container.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				// A kubelet reports the same for a container that it cannot find any more.
				ExitCode: 137, Reason: "ContainerStatusUnknown", Message: status.Message, FinishedAt: metav1.Time{Time: now},
			}}
		}
	}
	setCondition(&status, corev1.ContainersReady, false, "PodFailed", now)
	setCondition(&status, corev1.PodReady, false, "PodFailed", now)
	return status
}

// containerStatus maps one container. `idle` is the reason of one that nothing has been heard of.
func containerStatus(container *corev1.Container, answer *arm.Container, group *arm.Group, idle string) corev1.ContainerStatus {
	status := corev1.ContainerStatus{Name: container.Name, Image: container.Image}
	if strings.Contains(container.Image, "@") {
		status.ImageID = container.Image
	}
	var view arm.ContainerView
	if answer != nil && answer.Properties.InstanceView != nil {
		view = *answer.Properties.InstanceView
	}
	status.RestartCount = view.RestartCount
	if previous := view.PreviousState; previous != nil && previous.State == arm.StateTerminated {
		status.LastTerminationState.Terminated = terminated(previous)
	}
	current := view.CurrentState
	if current == nil {
		current = &arm.ContainerState{State: arm.StateWaiting}
	}
	switch current.State {
	case arm.StateRunning:
		status.State.Running = &corev1.ContainerStateRunning{StartedAt: timeOf(current.StartTime)}
	case arm.StateTerminated:
		status.State.Terminated = terminated(current)
	default:
		status.State.Waiting = waiting(&view, current, group, idle)
	}
	if current.StartTime != nil {
		digest := sha256.Sum256([]byte(strings.ToUpper(group.ID + "/containers/" + container.Name)))
		status.ContainerID = "aci://" + hex.EncodeToString(digest[:])
	}
	return status
}

func terminated(state *arm.ContainerState) *corev1.ContainerStateTerminated {
	reason, message := reasonError, state.DetailStatus
	if state.ExitCode == 0 {
		reason = reasonCompleted
	}
	if message == reasonCompleted || message == reasonError {
		message = ""
	}
	return &corev1.ContainerStateTerminated{
		ExitCode:   state.ExitCode,
		Reason:     reason,
		Message:    message,
		StartedAt:  timeOf(state.StartTime),
		FinishedAt: timeOf(state.FinishTime),
	}
}

// waiting finds out from the events why a container waits: the last failure since it last started.
func waiting(view *arm.ContainerView, current *arm.ContainerState, group *arm.Group, idle string) *corev1.ContainerStateWaiting {
	failure := lastFailure(view.Events)
	if groupView := group.Properties.InstanceView; failure == "" && groupView != nil && view.RestartCount == 0 {
		failure = lastFailure(groupView.Events)
	}
	switch {
	case isDenial(failure):
		return &corev1.ContainerStateWaiting{Reason: reasonCreateError, Message: failure}
	case isPullFailure(failure) && current.DetailStatus == reasonCrashLoop:
		return &corev1.ContainerStateWaiting{Reason: reasonPullBackOff, Message: failure}
	case isPullFailure(failure):
		return &corev1.ContainerStateWaiting{Reason: reasonPullError, Message: failure}
	case current.DetailStatus == reasonCrashLoop:
		return &corev1.ContainerStateWaiting{Reason: reasonCrashLoop, Message: "back-off restarting failed container"}
	default:
		return &corev1.ContainerStateWaiting{Reason: idle, Message: failure}
	}
}

// lastFailure is the message of the newest warning that no start came after.
func lastFailure(events []arm.Event) string {
	var failure *arm.Event
	for i := range events {
		event := &events[i]
		if failure != nil && event.LastTimestamp.Before(failure.LastTimestamp) {
			continue
		}
		switch {
		case event.Name == "Started":
			failure = nil
		case event.Name == "Failed":
			failure = event
		}
	}
	if failure == nil {
		return ""
	}
	return failure.Message
}

// isDenial recognizes the texts of the guest's policy engine, of older and newer platforms.
func isDenial(message string) bool {
	return strings.Contains(message, "policyDecision<") || strings.Contains(message, "denied by policy") ||
		strings.Contains(message, "denied due to policy")
}

func isPullFailure(message string) bool {
	return strings.Contains(message, "InaccessibleImage") || strings.Contains(strings.ToLower(message), "failed to pull")
}

func find(containers []arm.Container, name string) *arm.Container {
	for i := range containers {
		if containers[i].Name == name {
			return &containers[i]
		}
	}
	return nil
}

// timeOf drops what Kubernetes' times cannot hold, so that a status read back equals the one written.
func timeOf(moment *time.Time) metav1.Time {
	if moment == nil {
		return metav1.Time{}
	}
	return metav1.Time{Time: moment.Truncate(time.Second)}
}
