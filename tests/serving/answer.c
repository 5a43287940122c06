/* Loads a SavedModel through TensorFlow's C API and answers one request.

   answer FOLDER REQUEST ANSWER INPUT OUTPUT...

   INPUT and OUTPUT are tensors of the graph, "serving_default_images:0". REQUEST is a text line,
   "floats RANK DIM..." followed by the numbers, or "strings COUNT LENGTH..." followed by the bytes.
   ANSWER gets for each output a line "TYPE RANK DIM..." and its bytes.

   It prints the seconds of loading and of the first answer. For every number N that it then reads
   on standard input it answers N times more, the answers not kept, and prints the mean seconds. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tensorflow/c/c_api.h"

enum { MOST = 16 };

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + 1e-9 * time.tv_nsec;
}

static void fail(const char* what, const char* why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static void check(const char* what, TF_Status* status) {
  if (TF_GetCode(status) != TF_OK) fail(what, TF_Message(status));
}

static TF_Output tensor_named(TF_Graph* graph, const char* name) {
  char operation[256];
  int index = 0;
  if (sscanf(name, "%255[^:]:%d", operation, &index) != 2) fail(name, "should be OPERATION:INDEX");
  TF_Output tensor = {TF_GraphOperationByName(graph, operation), index};
  if (tensor.oper == NULL) fail(name, "is not in the graph");
  return tensor;
}

static TF_Tensor* read_floats(FILE* file) {
  int rank;
  int64_t dims[MOST];
  size_t count = 1;
  if (fscanf(file, "%d", &rank) != 1 || rank < 0 || rank > MOST) fail("request", "rank");
  for (int i = 0; i < rank; ++i) {
    if (fscanf(file, "%ld", &dims[i]) != 1) fail("request", "dimension");
    count *= dims[i];
  }
  fgetc(file); /* the line's end */
  TF_Tensor* tensor = TF_AllocateTensor(TF_FLOAT, dims, rank, count * sizeof(float));
  if (fread(TF_TensorData(tensor), sizeof(float), count, file) != count) fail("request", "short");
  return tensor;
}

static TF_Tensor* read_strings(FILE* file) {
  int64_t count;
  if (fscanf(file, "%ld", &count) != 1 || count < 0 || count > MOST) fail("request", "count");
  size_t lengths[MOST];
  for (int i = 0; i < count; ++i) {
    if (fscanf(file, "%zu", &lengths[i]) != 1) fail("request", "length");
  }
  fgetc(file);
  TF_Tensor* tensor = TF_AllocateTensor(TF_STRING, &count, 1, count * sizeof(TF_TString));
  TF_TString* strings = TF_TensorData(tensor);
  for (int i = 0; i < count; ++i) {
    char* bytes = malloc(lengths[i]);
    if (fread(bytes, 1, lengths[i], file) != lengths[i]) fail("request", "short");
    TF_StringInit(&strings[i]);
    TF_StringCopy(&strings[i], bytes, lengths[i]);
    free(bytes);
  }
  return tensor;
}

static TF_Tensor* read_request(const char* path) {
  char kind[16];
  FILE* file = fopen(path, "rb");
  if (file == NULL || fscanf(file, "%15s", kind) != 1) fail(path, "cannot be read");
  TF_Tensor* tensor = strcmp(kind, "floats") ? read_strings(file) : read_floats(file);
  fclose(file);
  return tensor;
}

static void write_answer(const char* path, TF_Tensor** tensors, int count) {
  FILE* file = fopen(path, "wb");
  if (file == NULL) fail(path, "cannot be written");
  for (int i = 0; i < count; ++i) {
    int rank = TF_NumDims(tensors[i]);
    fprintf(file, "%d %d", TF_TensorType(tensors[i]), rank);
    for (int d = 0; d < rank; ++d) fprintf(file, " %ld", TF_Dim(tensors[i], d));
    fputc('\n', file);
    fwrite(TF_TensorData(tensors[i]), 1, TF_TensorByteSize(tensors[i]), file);
  }
  if (fclose(file)) fail(path, "cannot be written");
}

static double answer(TF_Session* session, TF_Output input, TF_Tensor* request, TF_Output* outputs,
                     TF_Tensor** answers, int count, TF_Status* status) {
  double began = now();
  TF_SessionRun(session, NULL, &input, &request, 1, outputs, answers, count, NULL, 0, NULL, status);
  double seconds = now() - began;
  check("run", status);
  return seconds;
}

int main(int argc, char** argv) {
  if (argc < 6 || argc > 5 + MOST) fail("answer", "FOLDER REQUEST ANSWER INPUT OUTPUT...");
  TF_Status* status = TF_NewStatus();
  TF_Graph* graph = TF_NewGraph();
  TF_SessionOptions* options = TF_NewSessionOptions();
  const char* tags[] = {"serve"};
  double began = now();
  TF_Session* session =
      TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, NULL, status);
  check("load", status);
  printf("%.6f\n", now() - began);

  TF_Tensor* request = read_request(argv[2]);
  TF_Output input = tensor_named(graph, argv[4]), outputs[MOST];
  TF_Tensor* answers[MOST];
  int count = argc - 5;
  for (int i = 0; i < count; ++i) outputs[i] = tensor_named(graph, argv[5 + i]);
  printf("%.6f\n", answer(session, input, request, outputs, answers, count, status));
  fflush(stdout);
  write_answer(argv[3], answers, count);

  for (int times; scanf("%d", &times) == 1;) {
    double seconds = 0.0;
    for (int n = 0; n < times; ++n) {
      for (int i = 0; i < count; ++i) TF_DeleteTensor(answers[i]);
      seconds += answer(session, input, request, outputs, answers, count, status);
    }
    printf("%.6f\n", seconds / times);
    fflush(stdout);
  }
  for (int i = 0; i < count; ++i) TF_DeleteTensor(answers[i]);
  TF_DeleteTensor(request);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
