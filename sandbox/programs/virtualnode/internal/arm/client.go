package arm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	// Endpoint is Azure Resource Manager in the public cloud. A proxy, not another name, leads elsewhere.
	Endpoint = "https://management.azure.com"

	// apiVersion is the first stable one with confidentialComputeProperties and securityContext.
	apiVersion = "2023-05-01"

	// requestTimeout bounds one call; the long part of a change is polled for, never waited for.
	requestTimeout = 30 * time.Second

	// maximumBody is above the 4 MB of logs that the service keeps of a running container.
	maximumBody = 16 << 20
)

// Error is an answer of the service that is no success.
type Error struct {
	Status  int
	Code    string
	Message string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s (%s, HTTP %d)", e.Message, e.Code, e.Status)
}

// IsNotFound tells whether the group itself is not there; a missing resource group is another matter.
func IsNotFound(err error) bool {
	var answer *Error
	return errors.As(err, &answer) && answer.Status == http.StatusNotFound && answer.Code == "ResourceNotFound"
}

// Client calls the container groups of one resource group.
type Client struct {
	HTTP          *http.Client
	Token         TokenSource
	Subscription  string
	ResourceGroup string
}

// Get reads one group, with its instance view.
func (c *Client) Get(ctx context.Context, name string) (*Group, error) {
	var group Group
	if err := c.call(ctx, http.MethodGet, c.groupURL(name, nil), nil, &group); err != nil {
		return nil, err
	}
	return &group, nil
}

// Put asks for a group; the answer comes before it runs.
func (c *Client) Put(ctx context.Context, name string, group *Group) error {
	return c.call(ctx, http.MethodPut, c.groupURL(name, nil), group, nil)
}

// Delete asks for a group to go; it is gone when Get says so. An absent group is no error.
func (c *Client) Delete(ctx context.Context, name string) error {
	err := c.call(ctx, http.MethodDelete, c.groupURL(name, nil), nil, nil)
	if IsNotFound(err) {
		return nil
	}
	return err
}

// List reads all groups of the resource group, without instance views: the service leaves them out.
func (c *Client) List(ctx context.Context) ([]Group, error) {
	var groups []Group
	for next := c.url("", nil); next != ""; {
		var page struct {
			Value    []Group `json:"value"`
			NextLink string  `json:"nextLink"`
		}
		if err := c.call(ctx, http.MethodGet, next, nil, &page); err != nil {
			return nil, err
		}
		groups, next = append(groups, page.Value...), page.NextLink
	}
	return groups, nil
}

// Logs reads what a container has written: the last `tail` lines, or all that the service keeps when tail is 0.
func (c *Client) Logs(ctx context.Context, group, container string, tail int, timestamps bool) (string, error) {
	query := url.Values{}
	if tail > 0 {
		query.Set("tail", strconv.Itoa(tail))
	}
	if timestamps {
		query.Set("timestamps", "true")
	}
	var answer struct {
		Content string `json:"content"`
	}
	address := c.groupURL(group+"/containers/"+url.PathEscape(container)+"/logs", query)
	err := c.call(ctx, http.MethodGet, address, nil, &answer)
	return answer.Content, err
}

func (c *Client) groupURL(path string, query url.Values) string {
	return c.url("/"+path, query)
}

func (c *Client) url(path string, query url.Values) string {
	if query == nil {
		query = url.Values{}
	}
	query.Set("api-version", apiVersion)
	return fmt.Sprintf("%s/subscriptions/%s/resourceGroups/%s/providers/Microsoft.ContainerInstance/containerGroups%s?%s",
		Endpoint, c.Subscription, c.ResourceGroup, path, query.Encode())
}

// call makes one request; a refused token is asked for anew, once.
func (c *Client) call(ctx context.Context, method, address string, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err := c.once(ctx, method, address, body, answer)
	var refused *Error
	if errors.As(err, &refused) && refused.Status == http.StatusUnauthorized {
		c.Token.Forget()
		err = c.once(ctx, method, address, body, answer)
	}
	return err
}

func (c *Client) once(ctx context.Context, method, address string, body, answer any) error {
	token, err := c.Token.Get(ctx)
	if err != nil {
		return fmt.Errorf("no token for %s: %w", Endpoint, err)
	}
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, address, content)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := c.HTTP.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maximumBody))
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return failure(response.StatusCode, text)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}

// failure reads the service's error body; a body that is none becomes the message.
func failure(status int, text []byte) error {
	var body struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(text, &body); err != nil || body.Error.Code == "" {
		return &Error{Status: status, Code: http.StatusText(status), Message: string(text)}
	}
	return &Error{Status: status, Code: body.Error.Code, Message: body.Error.Message}
}
