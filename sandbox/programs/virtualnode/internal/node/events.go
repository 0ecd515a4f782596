package node

import (
	corev1 "k8s.io/api/core/v1"

	"confidential.summarizer.dev/sandbox/programs/virtualnode/internal/arm"
)

// podEvent is one event to tell of a pod; fieldPath names the container, if it is about one.
type podEvent struct {
	fieldPath string
	kind      string
	reason    string
	message   string
}

// eventLog knows which events of a group have been told already.
type eventLog map[podEvent]bool

// remember marks an event that an earlier run of this node told.
func (e eventLog) remember(event *corev1.Event) {
	e[podEvent{event.InvolvedObject.FieldPath, event.Type, event.Reason, event.Message}] = true
}

// fresh returns what has not been told yet, in the order in which the service lists it, and marks it as told.
func (e eventLog) fresh(group *arm.Group) []podEvent {
	var news []podEvent
	add := func(fieldPath string, events []arm.Event) {
		for _, event := range events {
			kind := corev1.EventTypeWarning // the only other type there is; unknown ones are worth a look
			if event.Type == corev1.EventTypeNormal {
				kind = corev1.EventTypeNormal
			}
			told := podEvent{fieldPath, kind, event.Name, event.Message}
			if !e[told] {
				e[told] = true
				news = append(news, told)
			}
		}
	}
	if view := group.Properties.InstanceView; view != nil {
		add("", view.Events)
	}
	for _, container := range group.Properties.InitContainers {
		if view := container.Properties.InstanceView; view != nil {
			add("spec.initContainers{"+container.Name+"}", view.Events)
		}
	}
	for _, container := range group.Properties.Containers {
		if view := container.Properties.InstanceView; view != nil {
			add("spec.containers{"+container.Name+"}", view.Events)
		}
	}
	return news
}
