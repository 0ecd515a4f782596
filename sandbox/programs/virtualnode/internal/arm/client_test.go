package arm

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// wire answers requests by method and path, and keeps what it was asked.
type wire struct {
	answers  map[string][]string // "METHOD /path" to "status body", the last one for ever
	requests []*http.Request
}

func (w *wire) RoundTrip(request *http.Request) (*http.Response, error) {
	w.requests = append(w.requests, request)
	key := request.Method + " " + request.URL.Path
	answers := w.answers[key]
	if len(answers) == 0 {
		return nil, errors.New("nobody answers " + key)
	}
	if len(answers) > 1 {
		w.answers[key] = answers[1:]
	}
	status, body, _ := strings.Cut(answers[0], " ")
	return &http.Response{
		StatusCode: map[string]int{"200": 200, "201": 201, "202": 202, "204": 204, "400": 400, "401": 401, "404": 404, "503": 503}[status],
		Status:     status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: request,
	}, nil
}

const (
	tokenPath = "POST /tenant/oauth2/v2.0/token"
	groupPath = "/subscriptions/sub/resourceGroups/rg/providers/Microsoft.ContainerInstance/containerGroups"
	aToken    = `200 {"access_token":"one","expires_in":3600}`
)

func newClient(answers map[string][]string) (*Client, *wire) {
	line := &wire{answers: answers}
	if answers[tokenPath] == nil {
		answers[tokenPath] = []string{aToken}
	}
	client := &http.Client{Transport: line}
	token := &ClientCredentials{HTTP: client, Tenant: "tenant", ClientID: "id", ClientSecret: "planted-secret"}
	return &Client{HTTP: client, Token: token, Subscription: "sub", ResourceGroup: "rg"}, line
}

func TestOneTokenServesManyCalls(t *testing.T) {
	client, line := newClient(map[string][]string{"GET " + groupPath + "/g": {`200 {"name":"g"}`}})
	for range 3 {
		if group, err := client.Get(context.Background(), "g"); err != nil || group.Name != "g" {
			t.Fatalf("%+v %v", group, err)
		}
	}
	if len(line.requests) != 4 || line.requests[1].Header.Get("Authorization") != "Bearer one" {
		t.Errorf("%d requests", len(line.requests))
	}
	if version := line.requests[1].URL.Query().Get("api-version"); version != apiVersion {
		t.Errorf("api-version %q", version)
	}
}

func TestARefusedTokenIsAskedForAnewOnce(t *testing.T) {
	client, line := newClient(map[string][]string{
		tokenPath:                 {aToken, `200 {"access_token":"two","expires_in":3600}`},
		"GET " + groupPath + "/g": {`401 {"error":{"code":"ExpiredAuthenticationToken"}}`, `200 {"name":"g"}`},
	})
	if _, err := client.Get(context.Background(), "g"); err != nil {
		t.Fatal(err)
	}
	if got := line.requests[3].Header.Get("Authorization"); got != "Bearer two" {
		t.Errorf("%q", got)
	}
}

func TestAMissingGroupIsToldFromAMissingResourceGroup(t *testing.T) {
	client, _ := newClient(map[string][]string{
		"GET " + groupPath + "/gone":    {`404 {"error":{"code":"ResourceNotFound","message":"m"}}`},
		"GET " + groupPath + "/nowhere": {`404 {"error":{"code":"ResourceGroupNotFound","message":"m"}}`},
	})
	if _, err := client.Get(context.Background(), "gone"); !IsNotFound(err) {
		t.Errorf("%v", err)
	}
	if _, err := client.Get(context.Background(), "nowhere"); err == nil || IsNotFound(err) {
		t.Errorf("%v", err)
	}
}

func TestAListGoesOnToItsLastPage(t *testing.T) {
	client, _ := newClient(map[string][]string{"GET " + groupPath: {
		`200 {"value":[{"name":"a"}],"nextLink":"https://management.azure.com` + groupPath + `?page=2"}`, `200 {"value":[{"name":"b"}]}`,
	}})
	groups, err := client.List(context.Background())
	if err != nil || len(groups) != 2 || groups[1].Name != "b" {
		t.Errorf("%+v %v", groups, err)
	}
}

func TestDeletingWhatIsNotThereIsNoError(t *testing.T) {
	for _, answer := range []string{"204 ", "202 ", `404 {"error":{"code":"ResourceNotFound"}}`} {
		client, _ := newClient(map[string][]string{"DELETE " + groupPath + "/g": {answer}})
		if err := client.Delete(context.Background(), "g"); err != nil {
			t.Errorf("%s: %v", answer, err)
		}
	}
}

func TestErrorsSayWhatTheServiceSaid(t *testing.T) {
	client, _ := newClient(map[string][]string{
		"PUT " + groupPath + "/g": {`400 {"error":{"code":"InvalidCcePolicy","message":"cannot be empty"}}`},
		"GET " + groupPath + "/g": {"503 upstream is gone"},
	})
	err := client.Put(context.Background(), "g", &Group{})
	if err == nil || err.Error() != "cannot be empty (InvalidCcePolicy, HTTP 400)" {
		t.Errorf("%v", err)
	}
	if _, err := client.Get(context.Background(), "g"); err == nil || !strings.Contains(err.Error(), "upstream is gone") {
		t.Errorf("%v", err)
	}
}

func TestAFailedSignInNamesNoSecret(t *testing.T) {
	client, _ := newClient(map[string][]string{tokenPath: {`401 {"error":"invalid_client"}`}})
	_, err := client.Get(context.Background(), "g")
	if err == nil || !strings.Contains(err.Error(), "invalid_client") || strings.Contains(err.Error(), "planted") {
		t.Errorf("%v", err)
	}
}

func TestLogsAskForTheirTail(t *testing.T) {
	client, line := newClient(map[string][]string{"GET " + groupPath + "/g/containers/c/logs": {`200 {"content":"text"}`}})
	text, err := client.Logs(context.Background(), "g", "c", 7, true)
	query := line.requests[1].URL.Query()
	if err != nil || text != "text" || query.Get("tail") != "7" || query.Get("timestamps") != "true" {
		t.Errorf("%q %v %v", text, query, err)
	}
}
