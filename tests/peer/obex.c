/*
 * OpenOBEX as the other side of our OBEX: it carries messages between a TCP connection and its own standard input and
 * output, where each message is four bytes of length (big-endian) and the bytes.
 *
 *   obex server TYPE        listens on a free port of 127.0.0.1, and writes the port's number as its first message; each
 *                           object that is put goes out, and what comes in is the answer that is got
 *   obex client TYPE PORT   puts each message that comes in, gets the answer, and writes that out; at the end of its input
 *                           it disconnects
 *
 * It ends with 0 when all was as it should be, and says on standard error what was not.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openobex/obex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char target[] = "SYNCML-SYNC";
enum { TARGET_SIZE = 11, CONNECTION = 77, PATIENCE = 20 };

struct bytes {
	uint8_t *data;
	uint32_t size;
};

static const char *type;
static struct bytes answer;    /* of the server: what the next GET gets */
static int over;               /* of the server: its client is gone */
static int done, response;     /* of the client: a request has its response */
static uint32_t connection;
static struct bytes got;

static void fail(const char *what) {
	fprintf(stderr, "obex: %s\n", what);
	exit(1);
}

static void put_message(const uint8_t *data, uint32_t size) {
	uint32_t length = htonl(size);
	if (fwrite(&length, 4, 1, stdout) != 1 || (size && fwrite(data, size, 1, stdout) != 1) || fflush(stdout))
		fail("nobody reads");
}

/* Whether there was one. */
static int take_message(struct bytes *into) {
	uint32_t length;
	if (fread(&length, 4, 1, stdin) != 1)
		return 0;
	length = ntohl(length);
	if (length > 10000000)
		fail("a message that is too long");
	free(into->data);
	into->data = malloc(length + 1);
	into->size = length;
	if (!into->data || (length && fread(into->data, length, 1, stdin) != 1))
		fail("a message that ends too soon");
	return 1;
}

static void add(obex_t *obex, obex_object_t *object, uint8_t id, const void *data, uint32_t size) {
	obex_headerdata_t value;
	value.bs = data;
	if (OBEX_ObjectAddHeader(obex, object, id, value, size, 0) < 0)
		fail("a header that does not fit");
}

static void add_number(obex_t *obex, obex_object_t *object, uint8_t id, uint32_t number) {
	obex_headerdata_t value;
	value.bq4 = number;
	if (OBEX_ObjectAddHeader(obex, object, id, value, 4, 0) < 0)
		fail("a number that does not fit");
}

/* Reads an object's headers; what is wrong with them ends the program. */
static void read_headers(obex_t *obex, obex_object_t *object, struct bytes *body, int is_request, int cmd) {
	obex_headerdata_t value;
	uint32_t size;
	uint8_t id;
	int is_target = 0, is_type = 0, is_connection = 0;
	while (OBEX_ObjectGetNextHeader(obex, object, &id, &value, &size)) {
		switch (id) {
		case OBEX_HDR_TARGET:
		case OBEX_HDR_WHO:
			is_target = size == TARGET_SIZE && !memcmp(value.bs, target, size);
			break;
		case OBEX_HDR_TYPE:
			is_type = size == strlen(type) + 1 && !memcmp(value.bs, type, size);
			break;
		case OBEX_HDR_CONNECTION:
			connection = value.bq4;
			is_connection = 1;
			break;
		case OBEX_HDR_BODY:
		case OBEX_HDR_BODY_END:
			if (!body)
				break;
			body->data = realloc(body->data, body->size + size + 1);
			if (!body->data)
				fail("no memory");
			memcpy(body->data + body->size, value.bs, size);
			body->size += size;
			break;
		}
	}
	if (cmd == OBEX_CMD_CONNECT && !is_target)
		fail("a connection to somebody else");
	if (cmd == OBEX_CMD_CONNECT && !is_request && !is_connection)
		fail("a connection without a number");
	if (is_request && (cmd == OBEX_CMD_PUT || cmd == OBEX_CMD_GET) && !is_type)
		fail("a request without the right type");
	if (is_request && cmd != OBEX_CMD_CONNECT && connection != CONNECTION)
		fail("a request without the connection's number");
}

static void on_request(obex_t *obex, obex_object_t *object, int cmd) {
	struct bytes body = {NULL, 0};
	read_headers(obex, object, &body, 1, cmd);
	OBEX_ObjectSetRsp(object, OBEX_RSP_CONTINUE, OBEX_RSP_SUCCESS);
	switch (cmd) {
	case OBEX_CMD_CONNECT:
		add_number(obex, object, OBEX_HDR_CONNECTION, CONNECTION);
		add(obex, object, OBEX_HDR_WHO, target, TARGET_SIZE);
		break;
	case OBEX_CMD_PUT:
		put_message(body.data, body.size);
		if (!take_message(&answer))
			fail("no answer");
		break;
	case OBEX_CMD_GET:
		add(obex, object, OBEX_HDR_TYPE, type, strlen(type) + 1);
		add_number(obex, object, OBEX_HDR_LENGTH, answer.size);
		add(obex, object, OBEX_HDR_BODY, answer.data, answer.size);
		break;
	case OBEX_CMD_DISCONNECT:
		break;
	default:
		OBEX_ObjectSetRsp(object, OBEX_RSP_NOT_IMPLEMENTED, OBEX_RSP_NOT_IMPLEMENTED);
	}
	free(body.data);
}

static void served(obex_t *obex, obex_object_t *object, int mode, int event, int cmd, int rsp) {
	(void)mode, (void)rsp;
	switch (event) {
	case OBEX_EV_REQHINT:
		OBEX_ObjectSetRsp(object, OBEX_RSP_CONTINUE, OBEX_RSP_SUCCESS);
		break;
	case OBEX_EV_REQ:
		on_request(obex, object, cmd);
		break;
	case OBEX_EV_REQDONE:
		over |= cmd == OBEX_CMD_DISCONNECT;
		break;
	case OBEX_EV_LINKERR:
	case OBEX_EV_PARSEERR:
		fail("the link broke");
	}
}

static obex_t *client_of_server;

static void accepts(obex_t *obex, obex_object_t *object, int mode, int event, int cmd, int rsp) {
	(void)object, (void)mode, (void)cmd, (void)rsp;
	if (event == OBEX_EV_ACCEPTHINT)
		client_of_server = OBEX_ServerAccept(obex, served, NULL);
}

/* A port that nobody listens on: OpenOBEX takes 0 for its own usual one. */
static uint16_t free_port(void) {
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	int probe = socket(AF_INET, SOCK_STREAM, 0);
	if (probe < 0 || bind(probe, (struct sockaddr *)&address, size) < 0 ||
	    getsockname(probe, (struct sockaddr *)&address, &size) < 0)
		fail("there is no free port");
	close(probe);
	return address.sin_port;
}

static int serve(void) {
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char port[8];
	obex_t *obex = OBEX_Init(OBEX_TRANS_INET, accepts, OBEX_FL_KEEPSERVER);
	address.sin_port = free_port();
	if (!obex || TcpOBEX_ServerRegister(obex, (struct sockaddr *)&address, sizeof address) < 0)
		fail("it cannot listen");
	put_message((uint8_t *)port, sprintf(port, "%d", ntohs(address.sin_port)));
	while (!client_of_server)
		if (OBEX_HandleInput(obex, PATIENCE) <= 0)
			fail("nobody came");
	while (!over)
		if (OBEX_HandleInput(client_of_server, PATIENCE) <= 0)
			fail("nobody says anything");
	return 0;
}

static void heard(obex_t *obex, obex_object_t *object, int mode, int event, int cmd, int rsp) {
	(void)mode;
	switch (event) {
	case OBEX_EV_REQDONE:
		done = 1;
		response = rsp;
		got.size = 0;
		if (rsp == OBEX_RSP_SUCCESS)
			read_headers(obex, object, &got, 0, cmd);
		break;
	case OBEX_EV_LINKERR:
	case OBEX_EV_PARSEERR:
		fail("the link broke");
	}
}

static void request(obex_t *obex, obex_object_t *object, const char *what) {
	done = 0;
	if (OBEX_Request(obex, object) < 0)
		fail("it cannot ask");
	while (!done)
		if (OBEX_HandleInput(obex, PATIENCE) <= 0)
			fail("no response");
	if (response != OBEX_RSP_SUCCESS) {
		fprintf(stderr, "obex: %s was answered %#x\n", what, response);
		exit(1);
	}
}

static int speak(int port) {
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct bytes message = {NULL, 0};
	obex_object_t *object;
	obex_t *obex = OBEX_Init(OBEX_TRANS_INET, heard, 0);
	address.sin_port = htons(port);
	if (!obex || TcpOBEX_TransportConnect(obex, (struct sockaddr *)&address, sizeof address) < 0)
		fail("it cannot connect");
	object = OBEX_ObjectNew(obex, OBEX_CMD_CONNECT);
	add(obex, object, OBEX_HDR_TARGET, target, TARGET_SIZE);
	request(obex, object, "CONNECT");
	while (take_message(&message)) {
		object = OBEX_ObjectNew(obex, OBEX_CMD_PUT);
		add_number(obex, object, OBEX_HDR_CONNECTION, connection);
		add(obex, object, OBEX_HDR_TYPE, type, strlen(type) + 1);
		add_number(obex, object, OBEX_HDR_LENGTH, message.size);
		add(obex, object, OBEX_HDR_BODY, message.data, message.size);
		request(obex, object, "PUT");
		object = OBEX_ObjectNew(obex, OBEX_CMD_GET);
		add_number(obex, object, OBEX_HDR_CONNECTION, connection);
		add(obex, object, OBEX_HDR_TYPE, type, strlen(type) + 1);
		request(obex, object, "GET");
		put_message(got.data, got.size);
	}
	object = OBEX_ObjectNew(obex, OBEX_CMD_DISCONNECT);
	add_number(obex, object, OBEX_HDR_CONNECTION, connection);
	request(obex, object, "DISCONNECT");
	return 0;
}

int main(int count, char **words) {
	if (count < 3)
		fail("usage: obex server TYPE | client TYPE PORT");
	type = words[2];
	return strcmp(words[1], "server") ? speak(count > 3 ? atoi(words[3]) : 0) : serve();
}
