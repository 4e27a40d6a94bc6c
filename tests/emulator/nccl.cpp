// NCCL's calls over MPI. What a group holds runs as one piece when it ends, on
// the stream it was given, or is recorded there.

#include "tests/emulator/nccl.h"

#include <mpi.h>

#include <functional>
#include <vector>

namespace music::emulator {

struct NcclComm {
  MPI_Comm mpi = MPI_COMM_NULL;
  int queries = 3;  // until what was begun is done
  bool blocking = true;
};

namespace {

MPI_Datatype type_of(ncclDataType_t type) {
  switch (type) {
    case ncclUint8:
      return MPI_UINT8_T;
    case ncclInt32:
      return MPI_INT32_T;
    case ncclInt64:
      return MPI_INT64_T;
    case ncclFloat16:
    case ncclBfloat16:
      return MPI_UINT16_T;  // moved, never reduced
    case ncclFloat32:
      return MPI_FLOAT;
    case ncclFloat64:
      return MPI_DOUBLE;
  }
  return MPI_DATATYPE_NULL;
}
MPI_Op op_of(ncclRedOp_t op) { return op == ncclMax ? MPI_MAX : MPI_SUM; }

// A call; point-to-point ones leave a request.
struct Call {
  cudaStream_t stream;
  std::function<void(std::vector<MPI_Request>&)> work;
};
int depth = 0;
std::vector<Call> calls;

ncclResult_t flush() {
  if (calls.empty()) return ncclSuccess;
  const cudaStream_t stream = calls[0].stream;
  for (const Call& c : calls)
    if (c.stream != stream) return ncclInvalidUsage;
  const bool ok = queue(stream, [calls = std::move(calls)] {
    std::vector<MPI_Request> requests;
    for (const Call& c : calls) c.work(requests);
    MPI_Waitall(static_cast<int>(requests.size()), requests.data(),
                MPI_STATUSES_IGNORE);
  });
  calls.clear();
  return ok ? ncclSuccess : ncclInvalidUsage;
}

template <typename F>
ncclResult_t add(cudaStream_t stream, ncclComm_t comm, F&& work) {
  if (comm->queries > 0) return ncclInvalidUsage;  // not formed yet
  calls.push_back({stream, std::forward<F>(work)});
  return depth > 0 ? ncclSuccess : flush();
}

const void* in_place(const void* send, const void* own) {
  return send == own ? MPI_IN_PLACE : send;
}

}  // namespace
}  // namespace music::emulator

using namespace music::emulator;

const char* ncclGetErrorString(ncclResult_t result) {
  return result == ncclInvalidUsage ? "invalid usage" : "error";
}
const char* ncclGetLastError(ncclComm_t) { return ""; }
ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  id->internal[0] = 77;
  return ncclSuccess;
}
ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks,
                                    ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  int size = 0, own = 0, initialised = 0;
  if (id.internal[0] != 77) return ncclInvalidArgument;
  *comm = new NcclComm;
  (*comm)->blocking = config->blocking != 0;
  MPI_Initialized(&initialised);
  if (!initialised) return ranks == 1 ? ncclInProgress : ncclInvalidArgument;
  MPI_Comm_dup(MPI_COMM_WORLD, &(*comm)->mpi);
  MPI_Comm_size((*comm)->mpi, &size);
  MPI_Comm_rank((*comm)->mpi, &own);
  return size == ranks && own == rank ? ncclInProgress : ncclInvalidArgument;
}
ncclResult_t ncclCommSplit(ncclComm_t comm, int color, int key,
                           ncclComm_t* created, ncclConfig_t*) {
  if (comm->queries > 0) return ncclInvalidUsage;
  *created = new NcclComm;
  if (comm->mpi != MPI_COMM_NULL)
    MPI_Comm_split(comm->mpi, color, key, &(*created)->mpi);
  comm->queries = 2;
  return ncclInProgress;
}
ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state) {
  if (comm->queries > 0) --comm->queries;
  *state = comm->queries > 0 ? ncclInProgress : ncclSuccess;
  return ncclSuccess;
}
ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  comm->queries = 2;
  return ncclInProgress;
}
ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  if (comm->mpi != MPI_COMM_NULL) MPI_Comm_free(&comm->mpi);
  delete comm;
  return ncclSuccess;
}
ncclResult_t ncclCommAbort(ncclComm_t comm) {
  delete comm;
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() {
  ++depth;
  return ncclSuccess;
}
ncclResult_t ncclGroupEnd() { return --depth > 0 ? ncclSuccess : flush(); }

ncclResult_t ncclAllReduce(const void* send, void* receive, std::size_t count,
                           ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm,
                           cudaStream_t stream) {
  return add(stream, comm, [=](auto&) {
    MPI_Allreduce(in_place(send, receive), receive, static_cast<int>(count),
                  type_of(type), op_of(op), comm->mpi);
  });
}
ncclResult_t ncclBroadcast(const void* send, void* receive, std::size_t count,
                           ncclDataType_t type, int root, ncclComm_t comm,
                           cudaStream_t stream) {
  return add(stream, comm, [=](auto&) {
    int rank = 0, bytes = 0;
    MPI_Comm_rank(comm->mpi, &rank);
    MPI_Type_size(type_of(type), &bytes);
    if (rank == root && send != receive)
      std::memcpy(receive, send, count * static_cast<std::size_t>(bytes));
    MPI_Bcast(receive, static_cast<int>(count), type_of(type), root, comm->mpi);
  });
}
ncclResult_t ncclReduce(const void* send, void* receive, std::size_t count,
                        ncclDataType_t type, ncclRedOp_t op, int root,
                        ncclComm_t comm, cudaStream_t stream) {
  return add(stream, comm, [=](auto&) {
    MPI_Reduce(send == receive ? MPI_IN_PLACE : send, receive,
               static_cast<int>(count), type_of(type), op_of(op), root,
               comm->mpi);
  });
}
ncclResult_t ncclAllGather(const void* send, void* receive, std::size_t count,
                           ncclDataType_t type, ncclComm_t comm,
                           cudaStream_t stream) {
  return add(stream, comm, [=](auto&) {
    int rank = 0, bytes = 0;
    MPI_Comm_rank(comm->mpi, &rank);
    MPI_Type_size(type_of(type), &bytes);
    const char* own = static_cast<const char*>(receive) +
                      static_cast<std::size_t>(rank * bytes) * count;
    MPI_Allgather(in_place(send, own), static_cast<int>(count), type_of(type),
                  receive, static_cast<int>(count), type_of(type), comm->mpi);
  });
}
ncclResult_t ncclReduceScatter(const void* send, void* receive,
                               std::size_t count, ncclDataType_t type,
                               ncclRedOp_t op, ncclComm_t comm,
                               cudaStream_t stream) {
  return add(stream, comm, [=](auto&) {
    MPI_Reduce_scatter_block(send, receive, static_cast<int>(count),
                             type_of(type), op_of(op), comm->mpi);
  });
}
ncclResult_t ncclSend(const void* send, std::size_t count, ncclDataType_t type,
                      int peer, ncclComm_t comm, cudaStream_t stream) {
  return add(stream, comm, [=](auto& requests) {
    MPI_Isend(send, static_cast<int>(count), type_of(type), peer, 0, comm->mpi,
              &requests.emplace_back());
  });
}
ncclResult_t ncclRecv(void* receive, std::size_t count, ncclDataType_t type,
                      int peer, ncclComm_t comm, cudaStream_t stream) {
  return add(stream, comm, [=](auto& requests) {
    MPI_Irecv(receive, static_cast<int>(count), type_of(type), peer, 0,
              comm->mpi, &requests.emplace_back());
  });
}
